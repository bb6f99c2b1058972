/**
 * Standard output and standard error.
 *
 * @module
 */

const encoder = new TextEncoder();

/** Writes lines to standard output. */
export function printLines(...lines: readonly string[]): void {
  write(Deno.stdout, lines);
}

/** Writes lines to standard error. */
export function complainLines(...lines: readonly string[]): void {
  write(Deno.stderr, lines);
}

function write(stream: { writeSync(bytes: Uint8Array): number }, lines: readonly string[]): void {
  const bytes = encoder.encode(lines.map((line) => line + "\n").join(""));
  for (let offset = 0; offset < bytes.length;) offset += stream.writeSync(bytes.subarray(offset));
}
