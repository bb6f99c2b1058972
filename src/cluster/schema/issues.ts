/** What a schema finds wrong with a value, in one line of words. @module */

import type { Issue } from "./decoder.ts";

/** One thing that is wrong: where in the object, what was expected and what was found. */
export interface FieldIssue {
  readonly path: readonly (string | number)[];
  readonly message: string;
}

/** Issues beyond this number are counted, not listed. */
const MAX_ISSUES = 20;
/** Longest quotation of a found value. */
const MAX_QUOTE = 60;

/** What a decoder found wrong with a value, and what it found there. */
export function fieldIssues(issues: readonly Issue[], input: unknown): FieldIssue[] {
  const listed = issues.slice(0, MAX_ISSUES).map(({ path, message }): FieldIssue => {
    const found = valueAt(input, path);
    return found === undefined
      ? { path, message: `missing, ${message}` }
      : { path, message: `${message}, found ${quote(found)}` };
  });
  const rest = issues.length - listed.length;
  if (rest > 0) listed.push({ path: [], message: `${rest} more fields are wrong` });
  return listed;
}

/** A path as one writes it: spec.ports[0].port; keys that are no plain words are quoted. */
export function formatPath(path: readonly (string | number)[]): string {
  let formatted = "";
  for (const step of path) {
    if (typeof step === "number") formatted += `[${step}]`;
    else if (!/^[A-Za-z_][\w-]*$/.test(step)) formatted += `[${quote(step)}]`;
    else formatted += formatted === "" ? step : `.${step}`;
  }
  return formatted;
}

/** A value in JSON, on one line of printable characters, shortened. */
export function quote(value: unknown): string {
  if (Array.isArray(value)) return value.length === 0 ? "an empty list" : "a list";
  if (typeof value === "object" && value !== null) return "an object";
  const json = typeof value === "string"
    ? JSON.stringify(value.length > MAX_QUOTE ? `${value.slice(0, MAX_QUOTE)}…` : value)
    : String(value);
  return json.replace(
    /[\u007f-\u009f\u2028\u2029]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

function valueAt(value: unknown, path: readonly (string | number)[]): unknown {
  let current = value;
  for (const step of path) {
    if (typeof current !== "object" || current === null) return undefined;
    current = (current as Record<string | number, unknown>)[step];
  }
  return current;
}
