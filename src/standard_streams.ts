/**
 * Standard output and standard error, whose readers may go before the program does.
 *
 * @module
 */

const encoder = new TextEncoder();

/** Whoever read standard output has gone, as `head` does: nobody wants to know more. */
export class OutputClosedError extends Error {
  override readonly name = "OutputClosedError";

  constructor() {
    super("standard output is closed");
  }
}

/** Writes all of a text to standard output. @throws {OutputClosedError} when nobody reads it. */
export function writeOutput(text: string): void {
  if (!write(Deno.stdout, text)) throw new OutputClosedError();
}

/** Writes all of a text to standard error. Where nobody reads it, nobody is left to tell. */
export function writeError(text: string): void {
  write(Deno.stderr, text);
}

/** False when the reader has gone. */
function write(stream: { writeSync(bytes: Uint8Array): number }, text: string): boolean {
  const bytes = encoder.encode(text);
  try {
    for (let offset = 0; offset < bytes.length;) offset += stream.writeSync(bytes.subarray(offset));
  } catch (error) {
    if (error instanceof Deno.errors.BrokenPipe) return false;
    throw error;
  }
  return true;
}
