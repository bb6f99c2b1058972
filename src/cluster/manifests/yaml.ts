/**
 * YAML 1.2 with bounded cost: whatever the text, parsing ends, keeps within memory and lets other
 * work run in between.
 *
 * The parser is fed token by token, so that nesting is limited and the first syntax error ends it;
 * duplicate keys are looked for here because the library's own check is quadratic in the number of
 * keys. Aliases are limited by the library: at most 100 times the nodes that they stand for.
 *
 * @module
 */

import { Composer, type CST, type Document, isAlias, isMap, isScalar, isSeq } from "yaml";
import { Lexer, LineCounter, Parser } from "yaml";
import { Breath } from "./breath.ts";
import { messageOf } from "../../errors.ts";

/** Deepest nesting of collections; Kubernetes objects need about a quarter of it. */
export const MAX_DEPTH = 100;
/** Most nodes that aliases may stand for, per alias in the text. */
const MAX_ALIASES = 100;
/** Most anchors and aliases in a text: resolving them takes quadratic time. */
const MAX_ANCHORS = 1000;

/** A parsed document. */
export interface ParsedDocument {
  readonly value: unknown;
  /** Line (from 1, in the text that was parsed) of the node at a path, or of the nearest above it. */
  lineOf(path: readonly (string | number)[]): number;
}

/** Text that is not YAML. */
export class YamlError extends Error {
  override readonly name = "YamlError";
  constructor(message: string, readonly line: number) {
    super(message.replaceAll(/\s+/g, " "));
  }
}

/**
 * Parses the documents of a text; empty ones are left out.
 *
 * @throws {YamlError} on a syntax error, a duplicate key, or nesting or aliases beyond the limits.
 */
export async function parseYaml(text: string, breath = new Breath()): Promise<ParsedDocument[]> {
  const lines = new LineCounter();
  lines.addNewLine(0);
  const lineAt = (offset: number) => lines.linePos(offset).line;
  const parser = new Parser(lines.addNewLine);
  const composer = failFastComposer(lineAt);
  const documents: Document.Parsed[] = [];
  const compose = (tokens: Iterable<CST.Token>) => {
    for (const token of tokens) {
      if (token.type === "error") throw new YamlError(token.message, lineAt(token.offset));
      documents.push(...composer.next(token) as Iterable<Document.Parsed>);
    }
  };
  let anchors = 0;
  let lexemes = 0;
  for (const lexeme of new Lexer().lex(text)) {
    compose(parser.next(lexeme));
    if (parser.stack.length > MAX_DEPTH) throw tooDeep(lineAt(parser.offset));
    // An anchor or alias that starts a plain scalar or comment is counted too: no harm.
    if ((lexeme[0] === "&" || lexeme[0] === "*") && ++anchors > MAX_ANCHORS) {
      const message = `more than ${MAX_ANCHORS} anchors and aliases`;
      throw new YamlError(message, lineAt(parser.offset));
    }
    if ((++lexemes & 0x3ff) === 0) await breath.take();
  }
  compose(parser.end());
  documents.push(...composer.end() as Iterable<Document.Parsed>);
  return documents.flatMap((document) => finish(document, lineAt));
}

/**
 * A composer that throws its first error, even when the library catches it and reports it again for
 * the nodes around it. The library's own goes on and keeps them all, which takes minutes for a text
 * that is wrong on every line.
 */
function failFastComposer(lineAt: (offset: number) => number): Composer {
  const composer = new Composer({
    uniqueKeys: false,
    prettyErrors: false,
    merge: true,
    logLevel: "error",
  });
  type Source = number | readonly number[] | { readonly offset: number };
  let first: YamlError | null = null;
  const onError = (source: Source, _code: string, message: string, warning?: boolean) => {
    if (warning) return;
    const offset = typeof source === "number"
      ? source
      : "offset" in source
      ? source.offset
      : source[0];
    first ??= new YamlError(message, lineAt(offset));
    throw first;
  };
  Object.assign(composer, { onError });
  return composer;
}

function tooDeep(line: number): YamlError {
  return new YamlError(`nested too deeply, expected at most ${MAX_DEPTH} levels`, line);
}

function finish(
  document: Document.Parsed,
  lineAt: (offset: number) => number,
): ParsedDocument[] {
  const error = document.errors.at(0);
  if (error !== undefined) throw new YamlError(error.message, lineAt(error.pos[0]));
  if (document.contents === null) return [];
  checkKeys(document.contents, lineAt);
  let value: unknown;
  try {
    value = document.toJS({ maxAliasCount: MAX_ALIASES });
  } catch (cause) {
    const line = lineAt(document.contents.range[0]);
    throw new YamlError(messageOf(cause), line);
  }
  return value === null || value === undefined ? [] : [{
    value,
    lineOf: (path) => lineAt(offsetOf(document, path)),
  }];
}

function checkKeys(node: unknown, lineAt: (offset: number) => number): void {
  if (isSeq(node)) {
    for (const item of node.items) checkKeys(item, lineAt);
  } else if (isMap(node)) {
    const seen = new Set<unknown>();
    for (const { key, value } of node.items) {
      if (isMap(key) || isSeq(key)) {
        const message = "a collection as a key, expected a string (is this a template?)";
        throw new YamlError(message, lineAt(key.range?.[0] ?? 0));
      }
      if (isScalar(key) && typeof key.value !== "symbol") {
        const name = String(key.value);
        if (seen.has(name)) {
          const line = lineAt(key.range?.[0] ?? 0);
          throw new YamlError(`key ${JSON.stringify(name.slice(0, 60))} is there twice`, line);
        }
        seen.add(name);
      }
      checkKeys(value, lineAt);
    }
  }
}

function offsetOf(document: Document.Parsed, path: readonly (string | number)[]): number {
  let node: unknown = document.contents;
  let offset = document.contents?.range[0] ?? 0;
  for (const step of path) {
    if (isAlias(node)) node = node.resolve(document);
    if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && String(key.value) === step);
      if (pair === undefined) return offset;
      offset = (isScalar(pair.key) ? pair.key.range?.[0] : undefined) ?? offset;
      node = pair.value;
    } else if (isSeq(node)) {
      node = node.items.at(Number(step));
      offset = (node as { range?: [number, number, number] } | undefined)?.range?.[0] ?? offset;
    } else {
      return offset;
    }
  }
  return offset;
}
