/** The text of a manifest file to its documents: YAML or JSON, any number of them. @module */

import { Breath } from "./breath.ts";
import { MAX_DEPTH, type ParsedDocument, parseYaml, YamlError } from "./yaml.ts";

/** One document: a value with the means to find its lines, or what is wrong with the text. */
export type ManifestDocument =
  | { readonly value: unknown; readonly lineOf: LineOf }
  | { readonly error: string; readonly line: number };

/** Line in the file of the node at a path in a document's value. */
export type LineOf = (path: readonly (string | number)[]) => number | Promise<number>;

/** Longest JSON text that is parsed once more, as YAML, to find the line of a problem. */
const MAX_RELOCATED = 1024 * 1024;

/**
 * The documents of a text, in order. A broken one does not hide the others: the text is cut at the
 * "---" lines first, which mark documents wherever they stand (YAML 1.2, 9.1.2 and 9.2).
 */
export async function* readDocuments(text: string): AsyncGenerator<ManifestDocument> {
  const breath = new Breath();
  for (const { source, firstLine } of cut(text.replace(/^\uFEFF/, ""))) {
    await breath.take();
    const json = parseJson(source);
    if (json !== undefined) {
      const lineOf: LineOf = (path) => lineInJson(source, firstLine, path);
      yield fits(json, MAX_DEPTH)
        ? { value: json, lineOf }
        : { error: `nested too deeply, expected at most ${MAX_DEPTH} levels`, line: firstLine };
      continue;
    }
    let parsed: ParsedDocument[];
    try {
      parsed = await parseYaml(source, breath);
    } catch (cause) {
      if (!(cause instanceof YamlError)) throw cause;
      // What is missing at the end is told for the last line that has anything in it.
      const line = Math.min(cause.line, 1 + newlinesIn(source.trimEnd()));
      yield { error: `broken YAML: ${cause.message}`, line: firstLine + line - 1 };
      continue;
    }
    for (const document of parsed) {
      yield fits(document.value, MAX_DEPTH)
        ? { value: document.value, lineOf: (path) => firstLine + document.lineOf(path) - 1 }
        : { error: `nested too deeply, expected at most ${MAX_DEPTH} levels`, line: firstLine };
    }
  }
}

/** Cuts at document markers; parts with nothing but comments and directives are left out. */
function* cut(text: string): Generator<{ source: string; firstLine: number }> {
  let start = 0;
  let line = 1;
  while (start <= text.length) {
    const marker = /^---(?=[ \t\r\n]|$)/gm;
    marker.lastIndex = start;
    const end = marker.exec(text)?.index ?? text.length;
    const whole = text.slice(start, end);
    const source = whole.replace(/^([ \t]*\r?\n)+/, "");
    if (/^[ \t]*[^#%\s]/m.test(source)) {
      yield { source, firstLine: line + newlinesIn(whole) - newlinesIn(source) };
    }
    if (end === text.length) return;
    line += newlinesIn(whole);
    start = end + 3;
  }
}

function newlinesIn(text: string): number {
  let count = 0;
  for (let at = text.indexOf("\n"); at >= 0; at = text.indexOf("\n", at + 1)) count++;
  return count;
}

function parseJson(source: string): unknown {
  if (!/^\s*[{[]/.test(source)) return undefined;
  try {
    return JSON.parse(source);
  } catch {
    // Flow-style YAML, or broken: the YAML parser says which, and where.
    return undefined;
  }
}

async function lineInJson(
  source: string,
  firstLine: number,
  path: readonly (string | number)[],
): Promise<number> {
  if (source.length > MAX_RELOCATED) return firstLine;
  try {
    const [document] = await parseYaml(source);
    return firstLine + (document?.lineOf(path) ?? 1) - 1;
  } catch (cause) {
    if (cause instanceof YamlError) return firstLine;
    throw cause;
  }
}

/** Whether a value is nested at most so deep. */
function fits(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  if (depth === 0) return false;
  for (const child of Object.values(value)) if (!fits(child, depth - 1)) return false;
  return true;
}
