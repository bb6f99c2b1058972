/**
 * Standard output and standard error.
 *
 * @module
 */

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

function joined(lines: readonly string[]): string {
  return lines.map((line) => line + "\n").join("");
}

function write(stream: { writeSync(bytes: Uint8Array): number }, text: string): void {
  const bytes = encoder.encode(text);
  for (let offset = 0; offset < bytes.length;) offset += stream.writeSync(bytes.subarray(offset));
}
