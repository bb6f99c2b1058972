/**
 * What rules that set marks make of a packet.
 *
 * @module
 */

import type {
  Expression,
  Mangle,
  RawPayload,
  Selector,
} from "../../dataplane/nftables/language/ast.ts";
import { selectorText } from "../../dataplane/nftables/language/print.ts";
import { typesOf } from "../../dataplane/nftables/language/types.ts";
import { type Fraction, fraction, ONE } from "../fraction.ts";
import { isTracked, type Packet } from "../netfilter/packet.ts";
import { nameOf, setOf, type Surroundings } from "./match.ts";
import { MOST_WAYS } from "./nat.ts";
import { numberOf } from "./numbers.ts";
import type { Reading } from "./reading.ts";
import { read, settle } from "./readings.ts";

/** One of the packets that come of it. */
export interface Mangled {
  readonly packet: Packet;
  readonly share: Fraction;
  /** What was done; null: nothing that bears on where the packet goes. */
  readonly action: string | null;
}

/** What it comes to. */
export type MangleOutcome =
  | { readonly kind: "ways"; readonly ways: readonly Mangled[] }
  /** The rule does not go on. */
  | { readonly kind: "absent" }
  | { readonly kind: "unknown"; readonly reason: string };

/** Sets what a rule sets. */
export function mangle(
  { target, value }: Mangle,
  packet: Packet,
  around: Surroundings,
): MangleOutcome {
  const mark = markOf(target);
  if (mark === null) return aside(target, packet);
  const reading = evaluate(value, typesOf(target)[0], packet, around);
  switch (reading.kind) {
    case "absent":
      return { kind: "absent" };
    case "known":
      return typeof reading.value === "number"
        ? ways([{ ...setMark(packet, mark, reading.value), share: ONE }])
        : unknown("a value is not understood");
    case "chance":
      return byChance(reading, (number) => number, packet, mark);
    case "unknown":
      return unknown(reading.reason);
    case "mapped":
      return byChance(reading.chance, reading.lead, packet, mark);
    default:
      return unknown("a value is not known");
  }
}

function unknown(reason: string): MangleOutcome {
  return { kind: "unknown", reason };
}

function ways(list: readonly Mangled[]): MangleOutcome {
  return { kind: "ways", ways: list };
}

type Mark = "mark" | "connectionMark";

function markOf(target: Selector): Mark | null {
  if (target.kind === "meta" && target.key === "mark") return "mark";
  return target.kind === "ct" && target.key === "mark" ? "connectionMark" : null;
}

/** What else can be set, if it bears on where the packet goes: addresses and ports. */
function aside(target: Selector, packet: Packet): MangleOutcome {
  const { kind } = target;
  const where = kind === "payload" &&
    ["saddr", "daddr", "sport", "dport", "protocol", "nexthdr"].includes(target.field);
  if (where || kind === "raw" && !isClass(target)) return unknown(`${selectorText(target)} is set`);
  if (kind === "ct" && target.key === "zone") return unknown("the connection is tracked in a zone");
  return ways([{ packet, share: ONE, action: null }]);
}

/** The traffic's class, DSCP and the like, in the first bits of either IP header. */
function isClass({ base, offset, length }: RawPayload): boolean {
  return base === "nh" && offset + length <= 16;
}

function setMark(packet: Packet, mark: Mark, value: number): Omit<Mangled, "share"> {
  const shown = `0x${value.toString(16)}`;
  if (mark === "mark") {
    return { packet: { ...packet, mark: value }, action: `mark becomes ${shown}` };
  }
  if (!isTracked(packet)) return { packet, action: "nothing: there is no connection" };
  return {
    packet: { ...packet, connectionMark: value },
    action: `connection mark becomes ${shown}`,
  };
}

type Chance = Extract<Reading, { kind: "chance" }>;

/** A value that a map gives, whose key is by chance. */
interface Mapped {
  readonly kind: "mapped";
  readonly chance: Chance;
  readonly lead: (number: number) => number | null;
}

function byChance(
  { first, count }: Chance,
  lead: (number: number) => number | null,
  packet: Packet,
  mark: Mark,
): MangleOutcome {
  if (count > MOST_WAYS) return unknown(`there are ${count} ways`);
  const share = fraction(1n, BigInt(count));
  const list: Mangled[] = [];
  for (let i = first; i < first + count; i++) {
    const value = lead(i);
    if (value === null) return unknown(`${i} leads nowhere`);
    const { packet: changed, action } = setMark(packet, mark, value);
    list.push({ packet: changed, share, action: `${action}; by chance, one of ${count}` });
  }
  return ways(list);
}

function evaluate(
  expression: Expression,
  type: string,
  packet: Packet,
  around: Surroundings,
): Reading | Mapped {
  switch (expression.kind) {
    case "number":
    case "symbol":
    case "flags": {
      const number = numberOf(expression, type);
      return number === null
        ? { kind: "unknown", reason: "a value is not understood" }
        : { kind: "known", value: number };
    }
    case "map": {
      const types = typesOf(expression.key);
      const index = setOf(expression.map, types, around.table);
      if (index === null) {
        return { kind: "unknown", reason: `what map ${nameOf(expression.map)} holds is not given` };
      }
      const lead = (key: number | string | readonly never[]) => {
        const found = index.find(key);
        const data = found === null || found === "unknown" ? null : found.data;
        return data?.kind === "number" ? data.value : null;
      };
      const reading = settle(read(expression.key, packet, around.world));
      if (reading.kind === "chance") return { kind: "mapped", chance: reading, lead };
      if (reading.kind !== "known") return reading;
      const found = index.find(reading.value);
      if (found === null) return { kind: "absent" };
      return found !== "unknown" && found.data?.kind === "number"
        ? { kind: "known", value: found.data.value }
        : { kind: "unknown", reason: "an element is not understood" };
    }
    case "address":
    case "network":
    case "string":
    case "range":
    case "wildcard":
    case "reference":
    case "set":
      return { kind: "unknown", reason: "a value is not understood" };
    default:
      return settle(read(expression as Selector, packet, around.world));
  }
}
