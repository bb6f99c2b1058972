/**
 * Standard output and standard error.
 *
 * @module
 */

import { UsageError } from "../config/usage.ts";
import { messageOf } from "../errors.ts";

const encoder = new TextEncoder();

/** Writes lines to standard output. */
export function printLines(...lines: readonly string[]): void {
  write(Deno.stdout, joined(lines));
}

/** Writes text as it is to standard output. */
export function printText(text: string): void {
  write(Deno.stdout, text);
}

/** Writes lines to standard error. */
export function complainLines(...lines: readonly string[]): void {
  write(Deno.stderr, joined(lines));
}

/** Writes what went wrong to standard error, on one line. */
export function complainOf(error: unknown): void {
  complainLines(`switchyard: ${messageOf(error).replaceAll("\n", "; ")}`);
}

/**
 * Runs a command whose exit status 1 means that something is different, as diff(1)'s does: what goes
 * wrong is told, and is 2.
 *
 * @throws {UsageError} as the command does.
 */
export async function failingWithTwo(command: () => Promise<number>): Promise<number> {
  try {
    return await command();
  } catch (error) {
    if (error instanceof UsageError) throw error;
    complainOf(error);
    return 2;
  }
}

function joined(lines: readonly string[]): string {
  return lines.map((line) => line + "\n").join("");
}

function write(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = encoder.encode(text);
  for (let offset = 0; offset < bytes.length;) offset += stream.writeSync(bytes.subarray(offset));
}
