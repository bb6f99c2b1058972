/**
 * Values as bytes of the kernel's registers and keys, and back.
 *
 * @module
 */

import { addressBytes, formatAddress } from "../../../net/address.ts";
import {
  type DataType,
  dataType,
  INTEGER_TYPE,
} from "../../../netlink/netfilter/nftables/datatypes.ts";
import { HOST_ORDER, NETWORK_ORDER } from "../../../netlink/netfilter/nftables/userdata.ts";
import { align } from "../../../netlink/writer.ts";
import type { Value } from "../language/ast.ts";
import { FLAGS } from "../language/flags.ts";
import { numberValue } from "../language/values.ts";
import { protocolNumber } from "../language/types.ts";
import { sortFlags } from "../language/types.ts";

/** What cannot be said to the kernel, in one line. */
export class CompileError extends Error {
  override readonly name = "CompileError";
}

/** A type by its name; only for names that are known to be there. */
export function typeNamed(name: string): DataType {
  const type = dataType(name);
  if (type === null) throw new CompileError(`no type of nftables is called ${name}`);
  return type;
}

/** A number of so many bytes that has no type of its own. */
export function integer(size: number, byteOrder: typeof HOST_ORDER | typeof NETWORK_ORDER) {
  return { name: "integer", id: INTEGER_TYPE, size, byteOrder };
}

/** Numbers of names, by type. (rtnetlink.h, if_packet.h, icmp.h, icmpv6.h) */
const SYMBOLS: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  ...FLAGS,
  ct_dir: { original: 0, reply: 1 },
  fib_addrtype: {
    unspec: 0,
    unicast: 1,
    local: 2,
    broadcast: 3,
    anycast: 4,
    multicast: 5,
    blackhole: 6,
    unreachable: 7,
    prohibit: 8,
  },
  boolean: { missing: 0, exists: 1 },
  pkt_type: { host: 0, broadcast: 1, multicast: 2, other: 3 },
  nf_proto: { ipv4: 2, ipv6: 10 },
  ether_type: { ip: 0x800, arp: 0x806, vlan: 0x8100, ip6: 0x86dd },
  icmp_type: {
    "echo-reply": 0,
    "destination-unreachable": 3,
    "source-quench": 4,
    redirect: 5,
    "echo-request": 8,
    "router-advertisement": 9,
    "router-solicitation": 10,
    "time-exceeded": 11,
    "parameter-problem": 12,
    "timestamp-request": 13,
    "timestamp-reply": 14,
    "info-request": 15,
    "info-reply": 16,
    "address-mask-request": 17,
    "address-mask-reply": 18,
  },
  icmpv6_type: {
    "destination-unreachable": 1,
    "packet-too-big": 2,
    "time-exceeded": 3,
    "parameter-problem": 4,
    "echo-request": 128,
    "echo-reply": 129,
    "mld-listener-query": 130,
    "mld-listener-report": 131,
    "mld-listener-done": 132,
    "nd-router-solicit": 133,
    "nd-router-advert": 134,
    "nd-neighbor-solicit": 135,
    "nd-neighbor-advert": 136,
    "nd-redirect": 137,
    "router-renumbering": 138,
  },
};

const NAMES = new Map(
  Object.entries(SYMBOLS).map(([type, symbols]) => [
    type,
    new Map(Object.entries(symbols).map(([name, number]) => [number, name])),
  ]),
);

const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** The number of a name of a type. */
function symbolNumber(name: string, type: DataType): number {
  const number = type.name === "inet_proto" ? protocolNumber(name) : SYMBOLS[type.name]?.[name];
  if (number === undefined) throw new CompileError(`${name} is no known ${type.name}`);
  return number;
}

/** A number of 1 to 4 bytes in the order of its type. */
export function numberBytes(value: number, { size, byteOrder, name }: DataType): Uint8Array {
  if (!Number.isInteger(value) || value < 0 || value >= 2 ** (8 * Math.min(size, 4))) {
    throw new CompileError(`${value} is out of the range of ${name}`);
  }
  const bytes = new Uint8Array(size);
  for (let i = 0, rest = value; i < size && rest > 0; i++, rest = Math.floor(rest / 256)) {
    bytes[byteOrder === NETWORK_ORDER ? size - 1 - i : i] = rest % 256;
  }
  return bytes;
}

/** The number in bytes of a type; only of at most 6 bytes. */
export function bytesNumber(bytes: Uint8Array, { byteOrder }: DataType): number {
  const ordered = byteOrder === NETWORK_ORDER ? bytes : bytes.toReversed();
  return ordered.reduce((value, byte) => value * 256 + byte, 0);
}

/**
 * The bytes of one value of these types; of several they are parts of a concatenation, each filled
 * up to four. Throws CompileError on what is no single value of the types.
 */
export function valueBytes(value: Value, types: readonly DataType[]): Uint8Array {
  if (types.length === 1) return singleBytes(value, types[0]);
  if (value.kind !== "concat" || value.parts.length !== types.length) {
    throw new CompileError(`a value of ${types.length} parts is expected, not ${value.kind}`);
  }
  const bytes = new Uint8Array(types.reduce((size, type) => size + align(type.size), 0));
  let at = 0;
  types.forEach((type, i) => {
    bytes.set(singleBytes(value.parts[i], type), at);
    at += align(type.size);
  });
  return bytes;
}

function singleBytes(value: Value, type: DataType): Uint8Array {
  switch (value.kind) {
    case "address":
      return addressOf(value.text, type);
    case "number":
      return numberBytes(value.value, type);
    case "symbol":
      return numberBytes(symbolNumber(value.name, type), type);
    case "flags":
      return numberBytes(
        value.names.reduce((bits, name) => bits | symbolNumber(name, type), 0),
        type,
      );
    case "string": {
      const text = encoder.encode(value.text);
      if (text.length >= type.size) {
        throw new CompileError(`${value.text} is longer than ${type.size - 1} bytes`);
      }
      const bytes = new Uint8Array(type.size);
      bytes.set(text);
      return bytes;
    }
    default:
      throw new CompileError(`a single ${type.name} is expected, not a ${value.kind}`);
  }
}

function addressOf(text: string, type: DataType): Uint8Array {
  if (type.name === "ether_addr") return Uint8Array.fromHex(text.replaceAll(":", ""));
  const bytes = addressBytes(text);
  if (bytes.length !== type.size) throw new CompileError(`${text} is no ${type.name}`);
  return bytes;
}

/** Values of bytes of these types, as the language has them. */
export function bytesValue(bytes: Uint8Array, types: readonly DataType[]): Value {
  if (types.length === 1) return singleValue(bytes, types[0]);
  const parts: Value[] = [];
  let at = 0;
  for (const type of types) {
    parts.push(singleValue(bytes.subarray(at, at + type.size), type));
    at += align(type.size);
  }
  return { kind: "concat", parts };
}

/** Types whose values are flags, of which several may be set. */
export function isFlags({ name }: DataType): boolean {
  return name === "ct_state" || name === "ct_status" || name === "tcp_flag";
}

function singleValue(bytes: Uint8Array, type: DataType): Value {
  // What another program made of it.
  if (bytes.length !== type.size) return { kind: "symbol", name: `0x${bytes.toHex()}` };
  switch (type.name) {
    case "ipv4_addr":
    case "ipv6_addr":
      return { kind: "address", text: addressText(bytes) };
    case "ether_addr":
      return { kind: "address", text: bytes.toHex().replace(/(..)(?=.)/g, "$1:") };
    case "ifname":
      return { kind: "string", text: linkName(bytes) };
    case "iface_index":
      // The kernel gives it to the first link of each namespace.
      if (bytesNumber(bytes, type) === 1) return { kind: "string", text: "lo" };
  }
  const number = bytesNumber(bytes, type);
  if (isFlags(type)) return flagsValue(number, type);
  const name = NAMES.get(type.name)?.get(number);
  return name === undefined ? numberValue(number, type.name) : { kind: "symbol", name };
}

/** Flags by their names; a number where one of them has none, or where none is set. */
export function flagsValue(bits: number, type: DataType): Value {
  const names: string[] = [];
  let rest = bits;
  for (const [bit, name] of NAMES.get(type.name) ?? []) {
    if ((rest & bit) === 0) continue;
    names.push(name);
    rest &= ~bit;
  }
  if (rest !== 0 || names.length === 0) return { kind: "number", value: bits };
  if (names.length === 1) return { kind: "symbol", name: names[0] };
  return { kind: "flags", names: sortFlags(names, type.name) };
}

/** Text of an address; an IPv4 one that is mapped into IPv6 stays IPv6. */
export function addressText(bytes: Uint8Array): string {
  const text = formatAddress(bytes);
  return bytes.length === 16 && !text.includes(":") ? `::ffff:${text}` : text;
}

/** A link's name up to its end. */
export function linkName(bytes: Uint8Array): string {
  const end = bytes.indexOf(0);
  return decoder.decode(end < 0 ? bytes : bytes.subarray(0, end));
}
