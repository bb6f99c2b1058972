/**
 * IP addresses and networks as the rest of Switchyard writes them: canonical text.
 *
 * Two addresses are equal exactly when their canonical texts are equal, so maps and comparisons
 * use plain strings; bytes appear only where packets or kernel messages are made.
 *
 * @module
 */

import { Address6 } from "ip-address";

/** IP family, spelled as in EndpointSlice.addressType and Service.spec.ipFamilies. */
export type Family = "IPv4" | "IPv6";

/** Both families, IPv4 first. */
export const FAMILIES: readonly Family[] = ["IPv4", "IPv6"];

/** A network: canonical base address (host bits cleared) and prefix length. */
export interface Network {
  readonly family: Family;
  readonly address: string;
  readonly prefix: number;
  /** The base address, 4 or 16 bytes in network order. */
  readonly bytes: Uint8Array;
}

/** The family of a *canonical* address. */
export function familyOf(address: string): Family {
  return address.includes(":") ? "IPv6" : "IPv4";
}

/**
 * Canonical text of an address, or null when it is none.
 *
 * Accepts what kube-proxy accepts ("sloppy" parsing, as Go before 1.17 did): IPv4 octets may carry
 * leading zeros, which are decimal: 172.30.0.041 is 172.30.0.41. IPv6 follows RFC 5952 on the way
 * out. IPv4-mapped IPv6 addresses become IPv4, as in Go's net.IP. Zone identifiers are refused.
 */
export function parseAddress(text: string): string | null {
  // What is canonical is kept as it is, which saves a copy of each address of a cluster.
  if (CANONICAL_IPV4.test(text)) return text;
  if (text.includes(":")) return parseIPv6(text);
  const bytes = parseIPv4(text);
  if (bytes === null) return null;
  return hasLeadingZero(text) ? formatAddress(bytes) : text;
}

/** Whether an octet of a dotted quad has a zero too many in front. */
function hasLeadingZero(quad: string): boolean {
  let start = true;
  for (let i = 0; i < quad.length - 1; i++) {
    const code = quad.charCodeAt(i);
    if (start && code === ZERO && quad.charCodeAt(i + 1) !== DOT) return true;
    start = code === DOT;
  }
  return false;
}

const CANONICAL_IPV4 = /^(?:(?:[1-9]?\d|1\d\d|2[0-4]\d|25[0-5])(?:\.(?!$)|$)){4}$/;

function parseIPv4(text: string): Uint8Array<ArrayBuffer> | null {
  const bytes = new Uint8Array(4);
  return writeIPv4(text, bytes, 0) ? bytes : null;
}

/**
 * Writes the four bytes of a dotted quad, and says whether it was one: what was written counts only
 * then. By hand, as clusters have a hundred thousand of them.
 */
export function writeIPv4(text: string, bytes: Uint8Array, at: number): boolean {
  let octet = 0;
  let value = -1;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (code === DOT) {
      if (value < 0 || octet === 3) return false;
      bytes[at + octet++] = value;
      value = -1;
    } else {
      if (code < ZERO || code > NINE) return false;
      value = Math.max(value, 0) * 10 + code - ZERO;
      if (value > 255) return false;
    }
  }
  if (value < 0 || octet !== 3) return false;
  bytes[at + 3] = value;
  return true;
}

const [DOT, ZERO, NINE] = [".", "0", "9"].map((char) => char.charCodeAt(0));

function parseIPv6(text: string): string | null {
  if (text.includes("%") || text.includes("/") || !Address6.isValid(text)) return null;
  const address = new Address6(text);
  const bytes = address.toUnsignedByteArray();
  const padded = new Uint8Array(16);
  padded.set(bytes, 16 - bytes.length);
  return formatAddress(padded);
}

/** The 4 or 16 bytes of an address in network order; throws on text that is no address. */
export function addressBytes(address: string): Uint8Array<ArrayBuffer> {
  if (!address.includes(":")) {
    const bytes = parseIPv4(address);
    if (bytes === null) throw new TypeError(`not an IP address: ${JSON.stringify(address)}`);
    return bytes;
  }
  if (!Address6.isValid(address)) {
    throw new TypeError(`not an IP address: ${JSON.stringify(address)}`);
  }
  const bytes = new Address6(address).toUnsignedByteArray();
  const padded = new Uint8Array(16);
  padded.set(bytes, 16 - bytes.length);
  return padded;
}

/** Canonical text of 4 or 16 bytes in network order. */
export function formatAddress(bytes: Uint8Array): string {
  if (bytes.length === 4) return `${bytes[0]}.${bytes[1]}.${bytes[2]}.${bytes[3]}`;
  if (bytes.length !== 16) {
    throw new TypeError(`an IP address has 4 or 16 bytes, not ${bytes.length}`);
  }
  const mapped = bytes.subarray(0, 10).every((byte) => byte === 0) && bytes[10] === 0xff &&
    bytes[11] === 0xff;
  if (mapped) return bytes.subarray(12).join(".");
  const groups: number[] = [];
  for (let i = 0; i < 16; i += 2) groups.push(bytes[i] << 8 | bytes[i + 1]);
  let start = -1;
  let length = 1;
  for (let i = 0; i < 8;) {
    let end = i;
    while (end < 8 && groups[end] === 0) end++;
    if (end - i > length) [start, length] = [i, end - i];
    i = Math.max(end, i + 1);
  }
  const hex = (part: number[]) => part.map((group) => group.toString(16)).join(":");
  if (start < 0) return hex(groups);
  return `${hex(groups.slice(0, start))}::${hex(groups.slice(start + length))}`;
}

/**
 * A network from "address/prefix" or, as a host network, a bare address; null when it is none.
 * Sloppy like {@link parseAddress}, for the prefix too: 203.0.113.000/025 is 203.0.113.0/25.
 */
export function parseNetwork(text: string): Network | null {
  const slash = text.indexOf("/");
  const address = parseAddress(slash < 0 ? text : text.slice(0, slash));
  if (address === null) return null;
  const family = familyOf(address);
  const width = family === "IPv4" ? 32 : 128;
  let prefix = width;
  if (slash >= 0) {
    const digits = text.slice(slash + 1);
    if (!/^[0-9]+$/.test(digits)) return null;
    prefix = Number(digits);
    if (prefix > width) return null;
  }
  const bytes = addressBytes(address);
  for (let bit = prefix; bit < width; bit++) bytes[bit >> 3] &= ~(0x80 >> (bit & 7));
  return { family, address: formatAddress(bytes), prefix, bytes };
}

/** "address/prefix" of a network. */
export function formatNetwork(network: Network): string {
  return `${network.address}/${network.prefix}`;
}

/** Whether the network contains the address; addresses of the other family are outside. */
export function networkContains(network: Network, address: string): boolean {
  return familyOf(address) === network.family &&
    networkContainsBytes(network, addressBytes(address));
}

/** {@link networkContains} for an address in bytes, 4 or 16 in network order. */
export function networkContainsBytes(network: Network, bytes: Uint8Array): boolean {
  if (bytes.length !== network.bytes.length) return false;
  const whole = network.prefix >> 3;
  for (let i = 0; i < whole; i++) if (bytes[i] !== network.bytes[i]) return false;
  const rest = network.prefix & 7;
  if (rest === 0) return true;
  const mask = 0xff << (8 - rest) & 0xff;
  return (bytes[whole] & mask) === network.bytes[whole];
}

/** "address:port", with IPv6 addresses in brackets; a name may stand for the address. */
export function formatSocketAddress(address: string, port: number | string): string {
  return familyOf(address) === "IPv6" ? `[${address}]:${port}` : `${address}:${port}`;
}

/** A port of a canonical address. */
export interface AddressPort {
  readonly address: string;
  readonly port: number;
}

/** Whether both are the same port of the same address. */
export function isSameAddressPort(one: AddressPort, other: AddressPort): boolean {
  return one.address === other.address && one.port === other.port;
}
