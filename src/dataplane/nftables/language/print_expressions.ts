/**
 * Selectors and values as nft writes them.
 *
 * @module
 */

import type { Bitwise, Element, Expression, Selector, Value, Verdict } from "./ast.ts";
import { formatDuration } from "./durations.ts";
import { isHexadecimal, typesOf } from "./types.ts";

/** `meta` keys that nft writes without the word meta. */
const SHORT_META = new Set(["iif", "iifname", "iifgroup", "oif", "oifname", "oifgroup"]);

/** A selector. */
export function selectorText(selector: Selector): string {
  switch (selector.kind) {
    case "payload":
      return `${selector.protocol} ${selector.field}`;
    case "raw":
      return `@${selector.base},${selector.offset},${selector.length}`;
    case "meta":
      return SHORT_META.has(selector.key) ? selector.key : `meta ${selector.key}`;
    case "ct":
      return selector.direction === null
        ? `ct ${selector.key}`
        : `ct ${selector.direction} ${selector.key}`;
    case "fib":
      return `fib ${selector.flags.join(" . ")} ${selector.result}`;
    case "numgen": {
      const { mode, modulus, offset } = selector;
      return `numgen ${mode} mod ${modulus}${offset === 0 ? "" : ` offset ${offset}`}`;
    }
    case "hash": {
      const { of, modulus, seed, offset } = selector;
      const start = of === null ? "symhash" : `jhash ${selectorText(of)}`;
      const seedText = seed === null ? "" : ` seed 0x${seed.toString(16)}`;
      return `${start} mod ${modulus}${seedText}${offset === 0 ? "" : ` offset ${offset}`}`;
    }
    case "bitwise":
      return bitwiseText(selector);
    case "concat":
      return selector.parts.map(selectorText).join(" . ");
    case "map":
      return `${selectorText(selector.key)} map ${mapText(selector.map, selector.key, [])}`;
    case "other":
      return selector.text;
  }
}

/** A set's name or its elements. */
export function mapText(map: Value, key: Selector, data: readonly string[]): string {
  return valueText(map, typesOf(key), data);
}

function bitwiseText({ operator, left, right }: Bitwise): string {
  const types = typesOf(left);
  const second = operator === "<<" || operator === ">>"
    ? expressionText(right, [])
    : expressionText(right, types);
  const grouped = right.kind === "flags" ? `(${second})` : second;
  return `${expressionText(left, types)} ${operator} ${grouped}`;
}

/** An expression that stands for something of these types. */
export function expressionText(expression: Expression, types: readonly string[]): string {
  switch (expression.kind) {
    case "map":
      return `${selectorText(expression.key)} map ${
        mapText(expression.map, expression.key, types)
      }`;
    case "payload":
    case "raw":
    case "meta":
    case "ct":
    case "fib":
    case "numgen":
    case "hash":
    case "other":
      return selectorText(expression);
    case "bitwise":
      return bitwiseText(expression);
    case "concat":
      return expression.parts.map((part: Expression, i: number) =>
        expressionText(part, [types[i] ?? "other"])
      ).join(" . ");
    default:
      return valueText(expression, types);
  }
}

/** A value of these types; a map's data are of the others. */
export function valueText(
  value: Value,
  types: readonly string[],
  data: readonly string[] = [],
): string {
  switch (value.kind) {
    case "address":
      return value.text;
    case "network":
      return `${value.address}/${value.prefix}`;
    case "number":
      return isHexadecimal(types[0] ?? "other")
        ? `0x${value.value.toString(16).padStart(8, "0")}`
        : String(value.value);
    case "symbol":
      return value.name;
    case "string":
      return `"${value.text}"`;
    case "range":
      return `${valueText(value.from, types)}-${valueText(value.to, types)}`;
    case "flags":
      return value.names.join(" | ");
    case "concat":
      return value.parts.map((part, i) => valueText(part, [types[i] ?? "other"])).join(" . ");
    case "wildcard":
      return "*";
    case "reference":
      return `@${value.name}`;
    case "set":
      return `{ ${value.elements.map((each) => elementText(each, types, data)).join(", ")} }`;
  }
}

/** An element of a set, or of a map whose data are of these types. */
export function elementText(
  element: Element,
  types: readonly string[],
  data: readonly string[],
): string {
  const { key, comment, timeout, expires, statements } = element;
  let text = valueText(key, types);
  for (const statement of statements) text += ` ${statefulText(statement)}`;
  if (timeout !== null) text += ` timeout ${formatDuration(timeout)}`;
  if (expires !== null) text += ` expires ${formatDuration(expires)}`;
  if (comment !== null) text += ` comment "${comment}"`;
  if (element.data !== null) text += ` : ${dataText(element.data, data)}`;
  return text;
}

function dataText(data: Value | Verdict, types: readonly string[]): string {
  switch (data.kind) {
    case "accept":
    case "drop":
    case "return":
    case "continue":
    case "jump":
    case "goto":
      return verdictText(data);
    default:
      return valueText(data, types);
  }
}

/** A verdict. */
export function verdictText(verdict: Verdict): string {
  return "chain" in verdict ? `${verdict.kind} ${verdict.chain}` : verdict.kind;
}

/** A statement that can stand at an element: a counter or a limit. */
export function statefulText(statement: Element["statements"][number]): string {
  switch (statement.kind) {
    case "counter":
      return statement.name === null
        ? `counter packets ${statement.packets} bytes ${statement.bytes}`
        : `counter name "${statement.name}"`;
    case "limit":
      return `limit ${statement.text}`;
    case "unknown":
      return statement.text;
    default:
      throw new TypeError(`a statement ${statement.kind} does not belong to an element`);
  }
}
