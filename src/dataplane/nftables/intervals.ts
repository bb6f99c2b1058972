/**
 * Networks as values of a rule, as the kernel keeps them: those that overlap or adjoin are one.
 *
 * @module
 */

import { formatAddress, parseNetwork } from "../../net/address.ts";
import type { Value } from "./language/ast.ts";

/** Both ends belong to it. */
interface Interval {
  readonly from: bigint;
  readonly to: bigint;
}

/**
 * What an address is compared with to be in one of these networks of one family, "address/prefix":
 * a value, or a set of several. Throws a TypeError when one is no network, or when there is none.
 */
export function networksValue(networks: readonly string[]): Value {
  const values = mergeNetworks(networks);
  if (values.length === 1) return values[0];
  const elements = values.map((key) => ({ ...PLAIN_ELEMENT, key }));
  return { kind: "set", elements };
}

const PLAIN_ELEMENT = {
  data: null,
  comment: null,
  timeout: null,
  expires: null,
  statements: [],
} as const;

/** The same addresses in as few values as possible, in their order. */
function mergeNetworks(networks: readonly string[]): Value[] {
  if (networks.length === 0) throw new TypeError("no network: expected one at least");
  let bits = 0;
  const intervals = networks.map((text) => {
    const network = parseNetwork(text);
    if (network === null) throw new TypeError(`not a network: ${JSON.stringify(text)}`);
    bits = network.bytes.length * 8;
    const from = toNumber(network.bytes);
    return { from, to: from + (1n << BigInt(bits - network.prefix)) - 1n };
  });
  return joined(intervals).map((interval) => intervalValue(interval, bits));
}

function joined(intervals: readonly Interval[]): Interval[] {
  const sorted = [...intervals].sort((a, b) => a.from < b.from ? -1 : a.from > b.from ? 1 : 0);
  const merged: Interval[] = [];
  for (const next of sorted) {
    const last = merged.at(-1);
    if (last === undefined || next.from > last.to + 1n) merged.push(next);
    else if (next.to > last.to) merged[merged.length - 1] = { from: last.from, to: next.to };
  }
  return merged;
}

/** An address or a network where it is one, else a range. */
function intervalValue({ from, to }: Interval, bits: number): Value {
  const address = (value: bigint) => formatAddress(toBytes(value, bits));
  if (from === to) return { kind: "address", text: address(from) };
  const size = to - from + 1n;
  const isNetwork = (size & (size - 1n)) === 0n && from % size === 0n;
  if (isNetwork) {
    return { kind: "network", address: address(from), prefix: bits - size.toString(2).length + 1 };
  }
  return {
    kind: "range",
    from: { kind: "address", text: address(from) },
    to: { kind: "address", text: address(to) },
  };
}

function toNumber(bytes: Uint8Array): bigint {
  return bytes.reduce((value, byte) => value << 8n | BigInt(byte), 0n);
}

function toBytes(value: bigint, bits: number): Uint8Array {
  const bytes = new Uint8Array(bits / 8);
  for (let i = bytes.length - 1, rest = value; i >= 0; i--, rest >>= 8n) {
    bytes[i] = Number(rest & 0xffn);
  }
  return bytes;
}
