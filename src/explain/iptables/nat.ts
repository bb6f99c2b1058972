/**
 * Address translation: the ranges that rules give, and the addresses that come of them.
 *
 * @module
 */

import { addressBytes, familyOf, formatAddress, parseAddress } from "../../net/address.ts";
import type { Masked } from "./matches/base.ts";
import { NotUnderstood } from "./matches/result.ts";
import { type Ip, ip } from "../netfilter/packet.ts";

/** Beyond this many possible results a range is not written out. */
const MOST = 1024;

/** What DNAT and SNAT rewrite to: every combination of an address and a port is equally likely. */
export interface NatRange {
  /** Canonical; null: the address stays. */
  readonly addresses: readonly string[] | null;
  /** First and last; null: the port stays. */
  readonly ports: readonly [first: number, last: number] | null;
}

/**
 * "10.0.0.1", "10.0.0.1:80", "10.0.0.1-10.0.0.9:80-90", ":80", "fd00::1", "[fd00::1]:80",
 * "[fd00::1-fd00::9]:80" as --to-destination and --to-source take them.
 * Throws {@link NotUnderstood}.
 */
export function parseNatRange(text: string): NatRange {
  const bracketed = !text.startsWith("[")
    ? null
    : /^\[([^\]]+)\](?:-\[([^\]]+)\])?(?::(.+))?$/.exec(text);
  if (bracketed !== null) {
    const [, first, last, ports] = bracketed;
    const addresses = last === undefined ? first : `${first}-${last}`;
    return range(addresses, ports);
  }
  if (text.split(":").length > 2) return range(text, undefined);
  const colon = text.indexOf(":");
  return colon < 0 ? range(text, undefined) : range(text.slice(0, colon), text.slice(colon + 1));
}

function range(addresses: string, ports: string | undefined): NatRange {
  const result = {
    addresses: addresses === "" ? null : expand(addresses),
    ports: ports === undefined ? null : parsePorts(ports),
  };
  const count = result.ports === null ? 1 : result.ports[1] - result.ports[0] + 1;
  if (count * (result.addresses?.length ?? 1) > MOST) {
    throw new NotUnderstood(`${addresses}:${ports} has more than ${MOST} results`);
  }
  return result;
}

/** "80" or "80-90"; throws {@link NotUnderstood}. */
export function parsePorts(text: string): readonly [number, number] {
  const parts = /^(\d+)(?:[-:](\d+))?$/.exec(text);
  if (parts === null) throw new NotUnderstood(`${text} is not a port or a range of ports`);
  const first = Number(parts[1]);
  const last = parts[2] === undefined ? first : Number(parts[2]);
  if (last > 65535 || first > last) throw new NotUnderstood(`${text} is not a range of ports`);
  return [first, last];
}

function expand(text: string): string[] {
  const single = parseAddress(text);
  if (single !== null) return [single];
  const [first, last = first] = text.split("-").map(parseAddress);
  if (!first || !last || familyOf(first) !== familyOf(last)) {
    throw new NotUnderstood(`${text} is not an address or a range of addresses`);
  }
  const end = toInteger(last);
  const addresses: string[] = [];
  for (let at = toInteger(first); at <= end; at++) {
    if (addresses.length === MOST) {
      throw new NotUnderstood(`${text} has more than ${MOST} addresses`);
    }
    addresses.push(fromInteger(at, addressBytes(first).length));
  }
  if (addresses.length === 0) throw new NotUnderstood(`${text} is not a range of addresses`);
  return addresses;
}

function toInteger(address: string): bigint {
  return addressBytes(address).reduce((sum, byte) => sum << 8n | BigInt(byte), 0n);
}

function fromInteger(value: bigint, length: number): string {
  const bytes = new Uint8Array(length);
  for (let i = length - 1; i >= 0; i--, value >>= 8n) bytes[i] = Number(value & 0xffn);
  return formatAddress(bytes);
}

/** The ports that a translation may choose: it keeps one that is within the range. */
export function portsOf(
  ports: readonly [number, number] | null,
  current: number,
): readonly number[] {
  if (ports === null || (current >= ports[0] && current <= ports[1])) return [current];
  if (ports[0] === ports[1]) return [ports[0]];
  return Array.from({ length: ports[1] - ports[0] + 1 }, (_, i) => ports[0] + i);
}

/** NETMAP: the address with its network part replaced. */
export function remap(address: Ip, { value, mask }: Masked): Ip {
  const bytes = address.bytes.map((byte, i) => (byte & ~mask[i]) | value[i]);
  return ip(formatAddress(bytes), bytes);
}
