/**
 * Named sets and maps out of what is between their braces.
 *
 * @module
 */

import type { Element, Expression, NamedSet, Selector, Statement } from "./ast.ts";
import { readDuration, readElements } from "./read_elements.ts";
import { readNumber, readSelector } from "./read_expressions.ts";
import { readStateful } from "./read_stateful.ts";
import { NftTextError, type Tokens } from "./tokens.ts";
import { typesOf } from "./types.ts";

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

/** From the opening brace to the closing one. Throws NftTextError. */
export function readSet(tokens: Tokens, name: string): NamedSet {
  const statements: Statement[] = [];
  const set: Writable<NamedSet> = {
    name,
    key: [],
    data: null,
    typeof: null,
    flags: [],
    timeout: null,
    gcInterval: null,
    size: null,
    policy: null,
    autoMerge: false,
    statements,
    comment: null,
    handle: null,
    elements: [],
  };
  tokens.expect("{");
  for (;;) {
    tokens.skipLines();
    // A handle stands behind the opening brace.
    set.handle ??= tokens.takeHandle();
    if (tokens.take("}")) break;
    if (tokens.is("elements")) {
      tokens.advance();
      tokens.expect("=");
      set.elements = readSetElements(tokens, set);
      continue;
    }
    const statement = readStateful(tokens);
    if (statement === null) readProperty(tokens, set);
    else statements.push(statement);
  }
  return set;
}

/** The elements in braces of a set. Throws NftTextError. */
export function readSetElements(
  tokens: Tokens,
  { key, data }: Pick<NamedSet, "key" | "data">,
): Element[] {
  return readElements(tokens, key, data);
}

function readProperty(tokens: Tokens, set: Writable<NamedSet>): void {
  const start = tokens.place;
  switch (tokens.word("a set's property")) {
    case "type":
      set.key = readTypes(tokens);
      if (tokens.take(":")) set.data = readTypes(tokens);
      break;
    case "typeof":
      readTypeof(tokens, set);
      break;
    case "flags":
      set.flags = readFlags(tokens);
      break;
    case "timeout":
      set.timeout = readDuration(tokens);
      break;
    case "gc-interval":
      set.gcInterval = readDuration(tokens);
      break;
    case "size":
      set.size = readNumber(tokens);
      break;
    case "policy": {
      const policy = tokens.word("memory or performance");
      if (policy !== "memory" && policy !== "performance") {
        throw tokens.unexpected("memory or performance");
      }
      set.policy = policy;
      break;
    }
    case "auto-merge":
      set.autoMerge = true;
      break;
    case "comment":
      set.comment = tokens.quoted("a comment");
      break;
    default:
      tokens.backTo(start);
      throw tokens.unexpected("a set's property");
  }
}

function readTypes(tokens: Tokens): string[] {
  const types = [tokens.word("a type")];
  while (tokens.take(".")) types.push(tokens.word("a type"));
  return types;
}

function readTypeof(tokens: Tokens, set: Writable<NamedSet>): void {
  const key = readKnownSelector(tokens);
  set.key = typesOf(key);
  let data: Expression | "verdict" | null = null;
  if (tokens.take(":")) {
    tokens.take("interval");
    data = tokens.take("verdict") ? "verdict" : readKnownSelector(tokens);
    set.data = data === "verdict" ? ["verdict"] : typesOf(data);
  }
  set.typeof = { key, data };
}

/** A selector; one that is not known is kept by its text. */
function readKnownSelector(tokens: Tokens): Selector {
  const start = tokens.place;
  try {
    return readSelector(tokens);
  } catch (error) {
    if (!(error instanceof NftTextError)) throw error;
  }
  tokens.backTo(start);
  while (tokens.kind === "word" && !tokens.is(":")) tokens.advance();
  return { kind: "other", text: tokens.since(start) };
}

/** Words with commas in between. Throws NftTextError. */
export function readFlags(tokens: Tokens): string[] {
  const flags = [tokens.word("a flag")];
  while (tokens.take(",")) flags.push(tokens.word("a flag"));
  return flags.sort();
}
