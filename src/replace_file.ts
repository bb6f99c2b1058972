/**
 * Replacing a file whole.
 *
 * @module
 */

/**
 * Gives a file new content, so that nobody ever reads half of it, whenever this process is killed. Only
 * its owner may read it; its folder must be there. Who may write to that folder cannot lead it astray
 * by a link.
 */
export function replaceFile(path: string, content: string | Uint8Array): void {
  const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
  const temporary = `${path}.${Deno.pid}`;
  // Of another process of this number, which was killed.
  removeFile(temporary);
  try {
    Deno.writeFileSync(temporary, bytes, { mode: 0o600, createNew: true });
    Deno.renameSync(temporary, path);
  } catch (error) {
    removeFile(temporary);
    throw error;
  }
}

/** Removes a file, if it is there. */
export function removeFile(path: string): void {
  try {
    Deno.removeSync(path);
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}
