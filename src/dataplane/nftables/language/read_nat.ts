/**
 * Address translation out of the words of a rule.
 *
 * @module
 */

import type { Expression, Nat, Value } from "./ast.ts";
import { isSelector, readExpression } from "./read_expressions.ts";
import type { Tokens } from "./tokens.ts";
import { rangeOf, singleValue } from "./values.ts";

const FLAGS = new Set(["random", "fully-random", "persistent"]);

interface Target {
  readonly address: Expression | null;
  readonly port: Expression | null;
}

/** What follows the first word. Throws NftTextError. */
export function readNat(tokens: Tokens, type: Nat["type"]): Nat {
  const directed = type === "dnat" || type === "snat";
  const family = directed && (tokens.is("ip") || tokens.is("ip6"))
    ? tokens.word("a family") as "ip" | "ip6"
    : null;
  const pair = directed && tokens.take("addr");
  if (pair) {
    tokens.expect(".");
    tokens.expect("port");
  }
  let target: Target = { address: null, port: null };
  if (tokens.take("to")) target = readTarget(tokens);
  else if (pair || family !== null) throw tokens.unexpected("to");
  return { kind: "nat", type, family, ...target, pair, flags: readFlags(tokens) };
}

function readFlags(tokens: Tokens): string[] {
  const flags: string[] = [];
  while (tokens.kind === "word" && FLAGS.has(tokens.text)) {
    flags.push(tokens.word("a flag"));
    tokens.take(",");
  }
  return flags;
}

function readTarget(tokens: Tokens): Target {
  if (isSelector(tokens)) {
    const address = readExpression(tokens);
    return { address, port: tokens.text.startsWith(":") ? readPort(tokens, 1) : null };
  }
  if (tokens.kind !== "word") throw tokens.unexpected("an address or a port");
  const { text } = tokens;
  if (text.startsWith(":")) {
    const whole = singleValue(text, "other");
    if (whole === null) return { address: null, port: readPort(tokens, 1) };
  }
  const whole = /^\[/.test(text) ? null : addresses(text);
  if (whole !== null) {
    tokens.advance();
    return { address: whole, port: null };
  }
  const colon = text.lastIndexOf(":");
  const bracketed = /^(\[[^\]]+\](?:-\[[^\]]+\])?)(:.*)?$/.exec(text);
  const end = bracketed === null ? colon : bracketed[1].length;
  const address = end < 0 ? null : addresses(text.slice(0, end).replace(/[[\]]/g, ""));
  if (address === null) throw tokens.unexpected("an address");
  if (end === text.length) {
    tokens.advance();
    return { address, port: null };
  }
  return { address, port: readPort(tokens, end + 1) };
}

/** The port after so many characters of the current word. */
function readPort(tokens: Tokens, from: number): Expression {
  const rest = tokens.text.slice(from);
  const parts = /^(\d+)(?:-(\d+))?$/.exec(rest);
  if (parts === null) {
    tokens.advanceWithin(from);
    return readExpression(tokens);
  }
  tokens.advance();
  const first: Value = { kind: "number", value: Number(parts[1]) };
  return parts[2] === undefined
    ? first
    : rangeOf(first, { kind: "number", value: Number(parts[2]) });
}

/** An address, network, or range of addresses. */
function addresses(text: string): Value | null {
  const one = singleValue(text, "other");
  if (one !== null) return one.kind === "address" || one.kind === "network" ? one : null;
  const [first, last, more] = text.split("-");
  if (last === undefined || more !== undefined) return null;
  const from = singleValue(first, "other");
  const to = singleValue(last, "other");
  return from?.kind === "address" && to?.kind === "address" ? rangeOf(from, to) : null;
}
