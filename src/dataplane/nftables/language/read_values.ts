/**
 * Values out of the words of a rule: single ones, flags, and several joined by dots.
 *
 * @module
 */

import type { Concatenation, SetReference, Value } from "./ast.ts";
import type { Tokens } from "./tokens.ts";
import { isFlagType, sortFlags } from "./types.ts";
import { rangeOf, singleValue, wordValue } from "./values.ts";

const OTHER = "other";

/** `@name`. Throws NftTextError. */
export function readReference(tokens: Tokens): SetReference {
  if (!tokens.text.startsWith("@")) throw tokens.unexpected("@ and a set's name");
  const { text } = tokens;
  // What a map gives may be followed by a port.
  const end = text.includes(":") ? text.indexOf(":") : text.length;
  tokens.advanceWithin(end);
  return { kind: "reference", name: text.slice(1, end) };
}

/** A value that is no set, or the parts of one joined by dots. Throws NftTextError. */
export function readPlainValue(tokens: Tokens, types: readonly string[]): Value {
  const first = readFlags(tokens, types[0] ?? OTHER);
  if (!tokens.is(".")) return first;
  const parts = [first];
  while (tokens.take(".")) parts.push(readFlags(tokens, types[parts.length] ?? OTHER));
  return { kind: "concat", parts } satisfies Concatenation<Value>;
}

/** One value, or flags joined by bars. */
function readFlags(tokens: Tokens, type: string): Value {
  const first = readOneValue(tokens, type);
  if (!isFlagType(type) || !tokens.is("|")) return first;
  const values = [first];
  while (tokens.take("|")) values.push(readOneValue(tokens, type));
  return flagsOf(tokens, values, type);
}

/** Several flags as one value. Throws NftTextError if one is no name. */
export function flagsOf(tokens: Tokens, values: readonly Value[], type: string): Value {
  const names = values.flatMap((value) => {
    if (value.kind === "symbol") return [value.name];
    if (value.kind === "flags") return value.names;
    throw tokens.unexpected("names of flags");
  });
  const sorted = sortFlags(names, type);
  return sorted.length === 1
    ? { kind: "symbol", name: sorted[0] }
    : { kind: "flags", names: sorted };
}

/** A value of one part; in parentheses several flags. Throws NftTextError. */
export function readOneValue(tokens: Tokens, type: string): Value {
  if (tokens.take("(")) {
    const value = readFlags(tokens, type);
    tokens.expect(")");
    return value;
  }
  const first = readSingle(tokens, type);
  if (!tokens.is("-")) return first;
  tokens.advance();
  return rangeOf(first, readSingle(tokens, type));
}

function readSingle(tokens: Tokens, type: string): Value {
  const { text } = tokens;
  if (tokens.kind === "string") {
    tokens.advance();
    return { kind: "string", text };
  }
  if (tokens.kind !== "word") throw tokens.unexpected("a value");
  const key = keyLength(text, type);
  const value = wordValue(key === null ? text : text.slice(0, key), type);
  if (value === null) throw tokens.unexpected("a value");
  if (key === null) tokens.advance();
  else tokens.advanceWithin(key);
  return value;
}

/** The length of a map's key that its colon follows without a space; null: it is no such. */
function keyLength(word: string, type: string): number | null {
  if (!word.includes(":")) return null;
  const key = /^(?:\d+|[a-z][\w.-]*|\d+\.\d+\.\d+\.\d+):(?![:\d])/i.exec(word);
  return key === null || singleValue(word, type) !== null ? null : key[0].length - 1;
}
