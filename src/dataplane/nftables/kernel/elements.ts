/**
 * Elements of sets and maps as the kernel has them, and back. Of a set of intervals the kernel has
 * the first key of each and the first one behind it; of a set of intervals of concatenations the
 * first and the last.
 *
 * @module
 */

import { networkBounds } from "./intervals.ts";
import type { DataType } from "../../../netlink/netfilter/nftables/datatypes.ts";
import type { Data, VerdictData } from "../../../netlink/netfilter/nftables/data.ts";
import type { StatefulExpression } from "../../../netlink/netfilter/nftables/expression.ts";
import { ELEMENT_FLAGS } from "../../../netlink/netfilter/nftables/names.ts";
import type { SetElement } from "../../../netlink/netfilter/nftables/objects.ts";
import { align } from "../../../netlink/writer.ts";
import type { Element, Statement, Value, Verdict } from "../language/ast.ts";
import { rangeOf } from "../language/values.ts";
import { connectionLimitStatement, limitStatement, quotaStatement } from "./stateful_texts.ts";
import { bytesValue, CompileError, linkName, valueBytes } from "./values.ts";

/** How the elements of a set look. */
export interface ElementTypes {
  readonly key: readonly DataType[];
  /** "verdict" of verdict maps; null of sets. */
  readonly data: readonly DataType[] | "verdict" | null;
  readonly interval: boolean;
}

/** The kernel's elements for the language's. Throws CompileError. */
export function compileElements(
  elements: readonly Element[],
  types: ElementTypes,
): SetElement[] {
  return elements.flatMap((element) => compileElement(element, types));
}

function compileElement(
  element: Element,
  { key: types, data, interval }: ElementTypes,
): SetElement[] {
  const { comment, timeout, statements } = element;
  const rest: SetElement = {
    ...(element.data === null ? {} : { data: compileData(element.data, data) }),
    ...(comment === null ? {} : { comment }),
    ...(timeout === null ? {} : { timeout }),
    ...(statements.length === 0 ? {} : { expressions: statements.map(compileStateful) }),
  };
  if (element.key.kind === "wildcard") return [{ ...rest, flags: ELEMENT_FLAGS.catchAll }];
  if (!interval) return [{ key: valueBytes(element.key, types), ...rest }];
  const { from, to } = boundsOf(element.key, types);
  if (types.length > 1) return [{ key: from, keyEnd: to, ...rest }];
  const end = following(to);
  return end === null
    ? [{ key: from, ...rest }]
    : [{ key: from, ...rest }, { key: end, flags: ELEMENT_FLAGS.intervalEnd }];
}

/**
 * The element that some trees of the kernel want in front of the first interval, where that does
 * not begin at zero.
 */
export function leadingElement(elements: readonly SetElement[]): SetElement[] {
  const [key] = elements.map(({ key }) => key).filter((key) => key !== undefined);
  const zero = elements.some(({ key }) => key?.every((byte) => byte === 0));
  if (key === undefined || zero) return [];
  return [{ key: new Uint8Array(key.length), flags: ELEMENT_FLAGS.intervalEnd }];
}

/** Whether a value is more than one key. */
export function isInterval(value: Value): boolean {
  if (value.kind === "concat") return value.parts.some(isInterval);
  return value.kind === "network" || value.kind === "range";
}

function compileData(data: Value | Verdict, types: ElementTypes["data"]): Data {
  if (isVerdict(data)) {
    if (types !== "verdict") throw new CompileError("a verdict in a map that has none");
    return { verdict: verdictData(data) };
  }
  if (types === null || types === "verdict") {
    throw new CompileError("a value in a set, or in a map of verdicts");
  }
  return { value: valueBytes(data, types) };
}

function isVerdict(data: Value | Verdict): data is Verdict {
  return VERDICTS.has(data.kind);
}

const VERDICTS = new Set<string>(["accept", "drop", "return", "continue", "jump", "goto"]);

/** A verdict as the kernel has it. */
export function verdictData(verdict: Verdict): VerdictData {
  return verdict.kind === "jump" || verdict.kind === "goto"
    ? { code: verdict.kind, chain: verdict.chain }
    : { code: verdict.kind };
}

/** A verdict of the kernel's; null for one that the language has no word for. */
export function verdictOf({ code, chain }: VerdictData): Verdict | null {
  switch (code) {
    case "jump":
    case "goto":
      return chain === undefined ? null : { kind: code, chain };
    case "accept":
    case "drop":
    case "return":
    case "continue":
      return { kind: code };
    default:
      return null;
  }
}

/** A counter as the kernel has it; nothing else is made of a statement. */
export function compileStateful(statement: Statement): StatefulExpression {
  if (statement.kind !== "counter" || statement.name !== null) {
    throw new CompileError(`a ${statement.kind} of an element`);
  }
  return { kind: "counter", packets: statement.packets, bytes: statement.bytes };
}

/** A statement for an expression that keeps a state. */
export function statefulStatement(expression: StatefulExpression): Statement {
  switch (expression.kind) {
    case "counter": {
      const { packets = 0, bytes = 0 } = expression;
      return { kind: "counter", name: null, packets, bytes };
    }
    case "limit":
      return limitStatement(expression);
    case "quota":
      return quotaStatement(expression);
    case "connlimit":
      return connectionLimitStatement(expression);
    case "unknown":
      return { kind: "unknown", text: expression.name };
  }
}

/** The first and the last key of a value, of each part for a concatenation. */
function boundsOf(value: Value, types: readonly DataType[]) {
  if (types.length === 1) return singleBounds(value, types[0]);
  if (value.kind !== "concat" || value.parts.length !== types.length) {
    throw new CompileError(`a value of ${types.length} parts is expected, not ${value.kind}`);
  }
  const size = types.reduce((size, type) => size + align(type.size), 0);
  const [from, to] = [new Uint8Array(size), new Uint8Array(size)];
  let at = 0;
  types.forEach((type, i) => {
    const part = singleBounds(value.parts[i], type);
    from.set(part.from, at);
    to.set(part.to, at);
    at += align(type.size);
  });
  return { from, to };
}

function singleBounds(value: Value, type: DataType): { from: Uint8Array; to: Uint8Array } {
  if (value.kind === "network") return networkBounds(value);
  if (value.kind === "range") {
    return { from: valueBytes(value.from, [type]), to: valueBytes(value.to, [type]) };
  }
  const bytes = valueBytes(value, [type]);
  return { from: bytes, to: bytes };
}

/** The next key, or null behind the last one there is. */
function following(key: Uint8Array): Uint8Array | null {
  const next = key.slice();
  for (let i = next.length - 1; i >= 0; i--) {
    next[i]++;
    if (next[i] !== 0) return next;
  }
  return null;
}

function preceding(key: Uint8Array): Uint8Array {
  const before = key.slice();
  for (let i = before.length - 1; i >= 0; i--) {
    before[i]--;
    if (before[i] !== 0xff) break;
  }
  return before;
}

/** Settings of a set that say what its elements leave out. */
export interface SetDefaults {
  /** Milliseconds. */
  readonly timeout?: number;
}

/** The language's elements for the kernel's, sorted by key. */
export function decompileElements(
  elements: readonly SetElement[],
  types: ElementTypes,
  defaults: SetDefaults = {},
): Element[] {
  const sorted = [...elements].sort(byKey);
  if (!types.interval || types.key.length > 1) {
    return sorted.map((element) =>
      decompileElement(element, keyOf(element, types), types, defaults)
    );
  }
  const found: Element[] = [];
  sorted.forEach((element, i) => {
    if (((element.flags ?? 0) & ELEMENT_FLAGS.intervalEnd) !== 0) return;
    const key = element.key === undefined
      ? WILDCARD
      : intervalValue(element.key, sorted[i + 1]?.key, types.key[0]);
    found.push(decompileElement(element, key, types, defaults));
  });
  return found;
}

const WILDCARD: Value = { kind: "wildcard" };

function keyOf({ key, keyEnd }: SetElement, { key: types }: ElementTypes): Value {
  if (key === undefined) return WILDCARD;
  const from = bytesValue(key, types);
  if (keyEnd === undefined) return from;
  const to = bytesValue(keyEnd, types);
  if (from.kind !== "concat" || to.kind !== "concat") return rangeFrom(from, to);
  return { kind: "concat", parts: from.parts.map((part, i) => rangeFrom(part, to.parts[i])) };
}

function intervalValue(from: Uint8Array, end: Uint8Array | undefined, type: DataType): Value {
  if (type.name === "ifname" && end !== undefined) return linkNames(from, preceding(end));
  const last = end === undefined ? new Uint8Array(from.length).fill(0xff) : preceding(end);
  return rangeFrom(bytesValue(from, [type]), bytesValue(last, [type]));
}

/** A link's name, or with a star all that begin so. */
function linkNames(from: Uint8Array, last: Uint8Array): Value {
  const text = linkName(from);
  const length = new TextEncoder().encode(text).length;
  const isOne = from.every((byte, i) => byte === last[i]);
  const isPrefix = last.every((byte, i) => byte === (i < length ? from[i] : 0xff));
  return isOne || isPrefix
    ? { kind: "string", text: isOne ? text : `${text}*` }
    : { kind: "symbol", name: `0x${from.toHex()}-0x${last.toHex()}` };
}

function rangeFrom(from: Value, to: Value): Value {
  return JSON.stringify(from) === JSON.stringify(to) ? from : rangeOf(from, to);
}

/** Ends come before what begins where they are. */
function byKey(a: SetElement, b: SetElement): number {
  if (a.key === undefined || b.key === undefined) {
    return a.key === b.key ? 0 : a.key === undefined ? 1 : -1;
  }
  for (let i = 0; i < a.key.length; i++) {
    const difference = a.key[i] - b.key[i];
    if (difference !== 0) return difference;
  }
  return ((b.flags ?? 0) & ELEMENT_FLAGS.intervalEnd) -
    ((a.flags ?? 0) & ELEMENT_FLAGS.intervalEnd);
}

function decompileElement(
  element: SetElement,
  key: Value,
  { data: types }: ElementTypes,
  defaults: SetDefaults,
): Element {
  const { timeout, expiration, comment, data, expressions = [] } = element;
  return {
    key,
    data: data === undefined ? null : decompileData(data, types),
    comment: comment ?? null,
    timeout: timeout === undefined || timeout === defaults.timeout ? null : timeout,
    expires: expiration ?? null,
    statements: expressions.map(statefulStatement),
  };
}

function decompileData({ value, verdict }: Data, types: ElementTypes["data"]): Element["data"] {
  if (verdict !== undefined) {
    return verdictOf(verdict) ?? { kind: "symbol", name: String(verdict.code) };
  }
  if (value === undefined || types === null || types === "verdict") return null;
  return bytesValue(value, types);
}
