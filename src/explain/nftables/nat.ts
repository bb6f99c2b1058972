/**
 * What address translation of a rule comes to for a packet.
 *
 * @module
 */

import type {
  Expression,
  MapLookup,
  Nat,
  Value,
  Verdict,
} from "../../dataplane/nftables/language/ast.ts";
import { typesOf } from "../../dataplane/nftables/language/types.ts";
import { valueText } from "../../dataplane/nftables/language/print.ts";
import { addressBytes } from "../../net/address.ts";
import { type Fraction, fraction, ONE } from "../fraction.ts";
import type { Translation } from "../iptables/apply.ts";
import { NotUnderstood } from "../iptables/matches/result.ts";
import { type NatRange, parseNatRange } from "../iptables/nat.ts";
import type { Packet } from "../netfilter/packet.ts";
import { nameOf, setOf, type Surroundings } from "./match.ts";
import { addressNumber, numberAddress } from "./numbers.ts";
import { read, settle } from "./readings.ts";

/** One of the ways that a translation may go. */
export interface NatWay {
  readonly target: Translation;
  readonly share: Fraction;
  readonly note: string | null;
}

/** What several things may come to; nothing where a map has no element. */
type Outcome<T> =
  | { readonly kind: "ways"; readonly ways: readonly T[] }
  | { readonly kind: "nothing" }
  | { readonly kind: "unknown"; readonly reason: string };

/** One of the values that an expression may have. */
interface Way {
  readonly value: Value | Verdict | null;
  readonly share: Fraction;
  readonly note: string | null;
}

/** The ways of a translation. */
export function natWays(nat: Nat, packet: Packet, around: Surroundings): Outcome<NatWay> {
  const { type, address, port, pair } = nat;
  if (type === "masquerade") {
    return { kind: "ways", ways: [{ target: { kind: "masquerade" }, share: ONE, note: null }] };
  }
  const addresses = waysOf(address, packet, around);
  if (addresses.kind !== "ways") return addresses;
  const ports = waysOf(port, packet, around);
  if (ports.kind !== "ways") return ports;
  if (addresses.ways.length > 1 && ports.ways.length > 1) {
    return unknown("address and port are both by chance");
  }
  const ways: NatWay[] = [];
  for (const one of addresses.ways) {
    for (const other of ports.ways) {
      const range = rangeOf(one.value, other.value, pair);
      if ("reason" in range) return unknown(range.reason);
      const target: Translation = type === "redirect"
        ? { kind: "redirect", ports: range.ports }
        : { kind: type, to: range };
      const by = addresses.ways.length > 1 ? one : other;
      ways.push({ target, share: by.share, note: one.note ?? other.note });
    }
  }
  return { kind: "ways", ways };
}

function unknown(reason: string): { readonly kind: "unknown"; readonly reason: string } {
  return { kind: "unknown", reason };
}

function only(value: Way["value"]): Outcome<Way> {
  return { kind: "ways", ways: [{ value, share: ONE, note: null }] };
}

function waysOf(
  expression: Expression | null,
  packet: Packet,
  around: Surroundings,
): Outcome<Way> {
  if (expression === null) return only(null);
  switch (expression.kind) {
    case "map":
      return mapWays(expression, packet, around);
    case "address":
    case "network":
    case "range":
    case "number":
      return only(expression);
    default:
      return unknown("where it goes is not understood");
  }
}

/** What a map leads a packet to. */
function mapWays(lookup: MapLookup, packet: Packet, around: Surroundings): Outcome<Way> {
  const index = setOf(lookup.map, typesOf(lookup.key), around.table);
  if (index === null) return unknown(`what map ${nameOf(lookup.map)} holds is not given`);
  const reading = settle(read(lookup.key, packet, around.world));
  switch (reading.kind) {
    case "absent":
      return { kind: "nothing" };
    case "known": {
      const found = index.find(reading.value);
      if (found === "unknown") return unknown("an element is not understood");
      return found === null ? { kind: "nothing" } : only(found.data);
    }
    case "chance": {
      const { first, count, note } = reading;
      if (count > MOST_WAYS) return unknown(`there are ${count} ways`);
      const share = fraction(1n, BigInt(count));
      const ways: Way[] = [];
      for (let i = first; i < first + count; i++) {
        const found = index.find(i);
        if (found === null || found === "unknown") return unknown(`${i} leads nowhere`);
        ways.push({ value: found.data, share, note: note ?? `by chance, one of ${count}` });
      }
      return { kind: "ways", ways };
    }
    default:
      return unknown(reading.kind === "unknown" ? reading.reason : "a key is not known");
  }
}

/** So many values by chance are followed. */
export const MOST_WAYS = 65536;

function rangeOf(
  address: Way["value"],
  port: Way["value"],
  pair: boolean,
): NatRange | { readonly reason: string } {
  if (pair && address?.kind === "concat") {
    const [first, second] = address.parts;
    return rangeOf(first, second, false);
  }
  try {
    const ports = port === null ? null : parsePorts(text(port));
    if (address === null) return { addresses: null, ports };
    return { addresses: parseNatRange(addressText(address)).addresses, ports };
  } catch (error) {
    if (error instanceof NotUnderstood) return { reason: error.message };
    throw error;
  }
}

function parsePorts(ports: string): NatRange["ports"] {
  return parseNatRange(`:${ports}`).ports;
}

/** An address or a range; networks by their first and last address. */
function addressText(address: NonNullable<Way["value"]>): string {
  if (address.kind !== "network") {
    const plain = text(address);
    return plain.includes(":") ? plain.split("-").map((one) => `[${one}]`).join("-") : plain;
  }
  const { length } = addressBytes(address.address);
  const size = 1n << BigInt(length * 8 - address.prefix);
  const last = numberAddress(addressNumber(address.address) + size - 1n, length);
  return address.address.includes(":")
    ? `[${address.address}]-[${last}]`
    : `${address.address}-${last}`;
}

function text(value: NonNullable<Way["value"]>): string {
  switch (value.kind) {
    case "address":
    case "network":
    case "range":
    case "number":
      return valueText(value, []);
    default:
      throw new NotUnderstood("where it goes is not understood");
  }
}
