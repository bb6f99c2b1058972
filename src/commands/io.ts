/**
 * Standard output and standard error.
 *
 * @module
 */

import { UsageError } from "../config/usage.ts";
import { messageOf } from "../errors.ts";
import { OutputClosedError, writeError, writeOutput } from "../standard_streams.ts";

/** Writes lines to standard output. */
export function printLines(...lines: readonly string[]): void {
  writeOutput(joined(lines));
}

/** Writes text as it is to standard output. */
export function printText(text: string): void {
  writeOutput(text);
}

/** Writes lines to standard error. */
export function complainLines(...lines: readonly string[]): void {
  writeError(joined(lines));
}

/** Writes what went wrong to standard error, on one line. */
export function complainOf(error: unknown): void {
  complainLines(`switchyard: ${messageOf(error).replaceAll("\n", "; ")}`);
}

/**
 * Runs a command whose exit status 1 means that something is different, as diff(1)'s does: what goes
 * wrong is told, and is 2.
 *
 * @throws {UsageError | OutputClosedError} as the command does.
 */
export async function failingWithTwo(command: () => Promise<number>): Promise<number> {
  try {
    return await command();
  } catch (error) {
    if (error instanceof UsageError || error instanceof OutputClosedError) throw error;
    complainOf(error);
    return 2;
  }
}

function joined(lines: readonly string[]): string {
  return lines.map((line) => line + "\n").join("");
}
