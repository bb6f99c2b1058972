/**
 * The elements of sets and maps out of what is between their braces.
 *
 * @module
 */

import type { Element, Statement, Value, Verdict } from "./ast.ts";
import { parseDuration } from "./durations.ts";
import { readStateful } from "./read_stateful.ts";
import { readPlainValue, readReference } from "./read_values.ts";
import { NftTextError, type Tokens } from "./tokens.ts";

const NOTHING: readonly Statement[] = [];

/** What something of these types is compared with or set to. Throws NftTextError. */
export function readValue(tokens: Tokens, types: readonly string[]): Value {
  if (tokens.is("{")) return { kind: "set", elements: readElements(tokens, types, null) };
  if (tokens.kind === "word" && tokens.text.startsWith("@")) return readReference(tokens);
  return readPlainValue(tokens, types);
}

/**
 * From the opening brace to the closing one.
 *
 * @param types of the keys' parts.
 * @param data types of a map's data; null where there is none. Throws NftTextError.
 */
export function readElements(
  tokens: Tokens,
  types: readonly string[],
  data: readonly string[] | null,
): Element[] {
  tokens.expect("{");
  const elements: Element[] = [];
  for (;;) {
    skipNewlines(tokens);
    if (tokens.take("}")) return elements;
    elements.push(readAnyElement(tokens, types, data));
    skipNewlines(tokens);
    if (!tokens.is("}")) tokens.expect(",");
  }
}

function skipNewlines(tokens: Tokens): void {
  while (tokens.kind === "line" && tokens.text === "\n") tokens.advance();
}

/** An element; one that is not understood is kept as a name, which is its text. */
function readAnyElement(
  tokens: Tokens,
  types: readonly string[],
  data: readonly string[] | null,
): Element {
  const start = tokens.place;
  try {
    const element = readElement(tokens, types, data);
    if (isOver(tokens)) return element;
  } catch (error) {
    if (!(error instanceof NftTextError)) throw error;
  }
  tokens.backTo(start);
  do tokens.advance(); while (!isOver(tokens));
  const key: Value = { kind: "symbol", name: tokens.since(start) };
  return { key, data: null, comment: null, timeout: null, expires: null, statements: NOTHING };
}

function isOver(tokens: Tokens): boolean {
  return tokens.kind === "end" || tokens.kind === "line" || tokens.is(",") || tokens.is("}");
}

/** What is noted of an element beside its key and data. */
interface Notes {
  comment: string | null;
  timeout: number | null;
  expires: number | null;
  statements: readonly Statement[];
}

function readElement(
  tokens: Tokens,
  types: readonly string[],
  dataTypes: readonly string[] | null,
): Element {
  const key = readPlainValue(tokens, types);
  const notes: Notes = { comment: null, timeout: null, expires: null, statements: NOTHING };
  let data: Value | Verdict | null = null;
  readNotes(tokens, notes);
  if (tokens.kind === "word" && tokens.text.startsWith(":")) {
    tokens.advanceWithin(1);
    data = readVerdict(tokens) ?? readValue(tokens, dataTypes ?? []);
    readNotes(tokens, notes);
  }
  const { comment, timeout, expires, statements } = notes;
  return { key, data, comment, timeout, expires, statements };
}

function readNotes(tokens: Tokens, notes: Notes): void {
  for (;;) {
    if (tokens.kind !== "word") return;
    switch (tokens.text) {
      case "comment":
        tokens.advance();
        notes.comment = tokens.quoted("a comment");
        break;
      case "timeout":
        tokens.advance();
        notes.timeout = readDuration(tokens);
        break;
      case "expires":
        tokens.advance();
        notes.expires = readDuration(tokens);
        break;
      default: {
        const statement = readStateful(tokens);
        if (statement === null) return;
        notes.statements = [...notes.statements, statement];
      }
    }
  }
}

/** Milliseconds of a span of time. Throws NftTextError. */
export function readDuration(tokens: Tokens): number {
  const duration = tokens.kind === "word" ? parseDuration(tokens.text) : null;
  if (duration === null) throw tokens.unexpected("a span of time");
  tokens.advance();
  return duration;
}

/** A verdict, if one begins at the current token. Throws NftTextError. */
export function readVerdict(tokens: Tokens): Verdict | null {
  if (tokens.kind !== "word") return null;
  switch (tokens.text) {
    case "accept":
    case "drop":
    case "return":
    case "continue": {
      const kind = tokens.text;
      tokens.advance();
      return { kind };
    }
    case "jump":
    case "goto": {
      const kind = tokens.text;
      tokens.advance();
      return { kind, chain: tokens.quoted("a chain's name") };
    }
    default:
      return null;
  }
}
