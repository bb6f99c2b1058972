/**
 * Whether a match holds for a packet.
 *
 * @module
 */

import type {
  AnonymousSet,
  Match,
  SetReference,
  Value,
} from "../../dataplane/nftables/language/ast.ts";
import { isFlagType, typesOf } from "../../dataplane/nftables/language/types.ts";
import { fraction } from "../fraction.ts";
import { invert, NO, type Result, truth, unknown, YES } from "../iptables/matches/result.ts";
import type { Packet } from "../netfilter/packet.ts";
import type { Address } from "../netfilter/sender.ts";
import type { World } from "../netfilter/world.ts";
import { holds } from "./compare.ts";
import { numberOf } from "./numbers.ts";
import type { Reading } from "./reading.ts";
import { read, readRoute, settle } from "./readings.ts";
import { knownToken, type NamedIndex, SetIndex } from "./set_index.ts";
import type { NodeTable } from "./tables.ts";

/** What a match is asked in. */
export interface Surroundings {
  readonly table: NodeTable;
  readonly world: World;
}

/** Whether the packet matches. */
export function test(match: Match, packet: Packet, { table, world }: Surroundings): Result {
  const { left, operator, right } = match;
  const reading = left.kind === "fib" && left.result !== "type" && !isPresence(right)
    ? readRoute(left, packet, world)
    : read(left, packet, world);
  if (reading.kind === "absent") return NO;
  if (reading.kind === "unknown") return unknown(reading.reason);
  const types = typesOf(left);
  if (right.kind === "reference" || right.kind === "set") {
    if (operator !== "is" && operator !== "!=") {
      return unknown(`${operator} a set is not understood`);
    }
    const index = setOf(right, types, table);
    if (index === null) return unknown(`what set ${nameOf(right)} holds is not given`);
    return invert(isInSet(reading, index, packet), operator === "!=");
  }
  const plainFlags = left.kind !== "bitwise" && isFlagType(types[0]);
  switch (operator) {
    case "is":
      return plainFlags ? hasAny(reading, right, types[0]) : isValue(reading, right, types);
    case "==":
      return isValue(reading, right, types);
    case "!=":
      return invert(isValue(reading, right, types), true);
    default:
      return compare(reading, operator, right, types[0]);
  }
}

/** Whether a route is asked for, not which link it leads to; its number is 0 where there is none. */
function isPresence(value: Value): boolean {
  return value.kind === "symbol"
    ? value.name === "exists" || value.name === "missing"
    : value.kind === "number" && value.value === 0;
}

const ANONYMOUS = new WeakMap<AnonymousSet, SetIndex>();

/** The elements that are meant; null when the table has no such set. */
export function setOf(
  set: SetReference | AnonymousSet,
  types: readonly string[],
  table: NodeTable,
): SetIndex | null {
  if (set.kind === "reference") return table.set(set.name) ?? null;
  let index = ANONYMOUS.get(set);
  if (index === undefined) {
    index = new SetIndex(set.elements, types);
    ANONYMOUS.set(set, index);
  }
  return index;
}

/** What a set is called in reasons. */
export function nameOf(set: SetReference | AnonymousSet): string {
  return set.kind === "reference" ? set.name : "without a name";
}

/** What {@link SetIndex.find} says of an address: null where it cannot say. */
function isAddressIn(address: Address, index: SetIndex): boolean | null {
  const found = index.find(address.text);
  return found === "unknown" ? null : found !== null;
}

/** What {@link SetIndex.find} says of a port: null where it cannot say. */
function isPortIn(port: number | null, index: SetIndex): boolean | null {
  const found = port === null ? "unknown" : index.find(port);
  return found === "unknown" ? null : found !== null;
}

function isInSet(reading: Reading, index: SetIndex, packet: Packet): Result {
  if (index.named?.dynamic) return isRemembered(settle(reading), index, index.named, packet);
  switch (reading.kind) {
    case "address":
      return decided(reading.address.ask(isAddressIn, index), "an element is not understood");
    case "port":
      return decided(reading.port.ask(isPortIn, index), "the flow's source port is not given");
    case "known": {
      const found = index.find(reading.value);
      return found === "unknown" ? unknown("an element is not understood") : truth(found !== null);
    }
    case "chance":
      return unknown("chance is looked up in a set");
    case "not":
      return unknown(reading.reason);
    case "absent":
      return NO;
    case "unknown":
      return unknown(reading.reason);
  }
}

/** Whether a set holds what packets before, or this one, have put in. */
function isRemembered(
  reading: Reading,
  index: SetIndex,
  { name, title }: NamedIndex,
  packet: Packet,
): Result {
  if (reading.kind !== "known") {
    return unknown(reading.kind === "unknown" ? reading.reason : "chance is looked up in a set");
  }
  const key = knownToken(reading.value);
  const held = index.find(reading.value) !== null ||
    packet.remembered.includes(`${title} ${key}`);
  return held
    ? { kind: "yes", note: `set ${name} holds ${key}` }
    : { kind: "no", note: `set ${name} does not hold ${key}: a new client` };
}

function decided(said: boolean | null, reason: string): Result {
  return said === null ? unknown(reason) : truth(said);
}

function isAddressOf(address: Address, value: Value): boolean | null {
  return holds(address.text, value, ADDRESS);
}

function isPortOf(port: number | null, value: Value): boolean | null {
  if (port !== null) return holds(port, value, PORT);
  // Any port is one of all.
  return holds(0, value, PORT) === true && holds(65535, value, PORT) === true ? true : null;
}

const ADDRESS = ["ipv4_addr"];
const PORT = ["inet_service"];

function isValue(reading: Reading, value: Value, types: readonly string[]): Result {
  switch (reading.kind) {
    case "address":
      return decided(reading.address.ask(isAddressOf, value), "a value is not understood");
    case "port":
      return decided(reading.port.ask(isPortOf, value), "the flow's source port is not given");
    case "known":
      return decided(holds(reading.value, value, types), "a value is not understood");
    case "not":
      return holds(reading.value, value, types) === true && value.kind === "string" &&
          !value.text.endsWith("*")
        ? NO
        : unknown(reading.reason);
    case "chance":
      return chanceOf(reading, value);
    case "absent":
      return NO;
    case "unknown":
      return unknown(reading.reason);
  }
}

/** Of flags one is enough. */
function hasAny(reading: Reading, value: Value, type: string): Result {
  const mask = numberOf(value, type);
  if (mask === null) return unknown("a flag is not understood");
  if (reading.kind !== "known" || typeof reading.value !== "number") {
    return unknown("the flags are not known");
  }
  return truth((reading.value & mask) !== 0);
}

type Order = "<" | ">" | "<=" | ">=";

function compare(reading: Reading, operator: Order, value: Value, type: string): Result {
  const number = numberOf(value, type);
  if (number === null) return unknown("a value is not understood");
  if (reading.kind === "chance") return chanceWithin(reading, ...bounds(operator, number));
  const settled = settle(reading);
  if (settled.kind !== "known") {
    return unknown(settled.kind === "unknown" ? settled.reason : "a value is not known");
  }
  const [first, last] = bounds(operator, number);
  return typeof settled.value === "number"
    ? truth(settled.value >= first && settled.value <= last)
    : unknown("a value is not understood");
}

/** The whole numbers that are in this order to another. */
function bounds(operator: Order, number: number): [first: number, last: number] {
  switch (operator) {
    case "<":
      return [-Infinity, number - 1];
    case "<=":
      return [-Infinity, number];
    case ">":
      return [number + 1, Infinity];
    case ">=":
      return [number, Infinity];
  }
}

type Chance = Extract<Reading, { kind: "chance" }>;

function chanceOf(chance: Chance, value: Value): Result {
  const first = numberOf(value.kind === "range" ? value.from : value, "other");
  const last = numberOf(value.kind === "range" ? value.to : value, "other");
  return first === null || last === null
    ? unknown("a value is not understood")
    : chanceWithin(chance, first, last);
}

function chanceWithin({ first, count, note }: Chance, from: number, to: number): Result {
  const low = Math.max(first, from);
  const high = Math.min(first + count - 1, to);
  if (high < low) return NO;
  if (high - low + 1 === count) return YES;
  const probability = fraction(BigInt(high - low + 1), BigInt(count));
  return note === null ? { kind: "chance", probability } : { kind: "chance", probability, note };
}
