/**
 * Statements that keep a state and stand in rules as well as at elements: counters, limits.
 *
 * @module
 */

import type { Counter, Limit, Statement } from "./ast.ts";
import type { Tokens } from "./tokens.ts";

/** Such a statement, if one begins at the current token. Throws NftTextError. */
export function readStateful(tokens: Tokens): Statement | null {
  if (tokens.kind !== "word") return null;
  switch (tokens.text) {
    case "counter":
      tokens.advance();
      return readCounter(tokens);
    case "limit":
      tokens.advance();
      return readLimit(tokens);
    default:
      return null;
  }
}

function readCounter(tokens: Tokens): Counter {
  if (tokens.take("name")) {
    return { kind: "counter", name: tokens.quoted("a counter's name"), packets: 0, bytes: 0 };
  }
  const packets = tokens.take("packets") ? readCount(tokens) : 0;
  const bytes = tokens.take("bytes") ? readCount(tokens) : 0;
  return { kind: "counter", name: null, packets, bytes };
}

function readCount(tokens: Tokens): number {
  if (!/^\d+$/.test(tokens.text)) throw tokens.unexpected("a count");
  return Number(tokens.word("a count"));
}

const UNITS = /^(?:packets|bytes|kbytes|mbytes)(?:\/\w+)?$/;

function readLimit(tokens: Tokens): Limit {
  if (tokens.take("name")) {
    return { kind: "limit", text: `name "${tokens.quoted("a limit's name")}"` };
  }
  const start = tokens.place;
  tokens.expect("rate");
  tokens.take("over");
  tokens.word("a rate");
  if (UNITS.test(tokens.text)) tokens.advance();
  if (tokens.take("burst")) {
    tokens.word("a number");
    if (UNITS.test(tokens.text)) tokens.advance();
  }
  return { kind: "limit", text: tokens.since(start).replace(/ burst 5 packets$/, "") };
}

/** What else keeps a state, and stands at sets and elements: kept by its text. */
const OTHERS = new Set(["last", "quota", "ct"]);

/** What may follow it. */
const NEXT = new Set(["counter", "limit", "timeout", "expires", "comment", ":"]);

/** Such a statement of an element or set, if one begins at the current token. */
export function readOtherStateful(tokens: Tokens): Statement | null {
  if (tokens.kind !== "word" || !OTHERS.has(tokens.text)) return null;
  const start = tokens.place;
  do tokens.advance(); while (tokens.kind === "word" && !NEXT.has(tokens.text));
  return { kind: "unknown", text: tokens.since(start) };
}
