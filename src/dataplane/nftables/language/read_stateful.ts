/**
 * Statements that keep a state and stand in rules as well as at elements: counters, limits, quotas.
 *
 * @module
 */

import type { Counter, Limit, Statement, UnknownStatement } from "./ast.ts";
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
    case "quota":
    case "last":
    case "ct":
      return readByText(tokens);
    default:
      return null;
  }
}

/** What is kept by its text: `quota over 25 mbytes used 0 bytes`, `ct count over 20`, `last used 5s`. */
function readByText(tokens: Tokens): UnknownStatement | null {
  const start = tokens.place;
  const word = tokens.word("a statement");
  switch (word) {
    case "ct":
      if (!tokens.take("count")) {
        tokens.backTo(start);
        return null;
      }
      tokens.take("over");
      readCount(tokens);
      break;
    case "last":
      if (tokens.take("used")) tokens.word("never, or how long ago");
      break;
    default:
      if (tokens.take("name")) tokens.quoted("a quota's name");
      else readQuota(tokens);
  }
  return { kind: "unknown", text: tokens.since(start) };
}

function readQuota(tokens: Tokens): void {
  if (!tokens.take("over")) tokens.take("until");
  readCount(tokens);
  tokens.word("bytes, kbytes or mbytes");
  if (!tokens.take("used")) return;
  readCount(tokens);
  tokens.word("bytes, kbytes or mbytes");
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
