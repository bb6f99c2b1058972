/**
 * Files under /proc and /sys, through the C library: Deno asks for all permissions there.
 *
 * @module
 */

import {
  check,
  close,
  closeDirectory,
  ERRNO,
  lastErrno,
  nextEntry,
  O_RDONLY,
  O_WRONLY,
  open,
  openDirectory,
  read,
  SystemError,
  write,
} from "./libc.ts";

const PAGE = 4096;

/**
 * The whole text, or null when there is no such file, or its process ended meanwhile. Throws
 * {@link SystemError} when it may not be read.
 */
export function readSpecialFile(path: string): string | null {
  let fd: number;
  try {
    fd = open(path, O_RDONLY);
  } catch (error) {
    if (error instanceof SystemError && error.errno === ERRNO.ENOENT) return null;
    throw error;
  }
  try {
    const decoder = new TextDecoder();
    const buffer = new Uint8Array(PAGE);
    let text = "";
    for (;;) {
      const length = read(fd, buffer, buffer.length);
      if (length === 0) return text + decoder.decode();
      if (length < 0) {
        const errno = lastErrno();
        if (errno === ERRNO.ESRCH) return null;
        throw new SystemError(errno, `read ${path}`);
      }
      text += decoder.decode(buffer.subarray(0, length), { stream: true });
    }
  } finally {
    close(fd);
  }
}

/** Writes in one piece, as the kernel wants it. Throws {@link SystemError}. */
export function writeSpecialFile(path: string, text: string): void {
  const fd = open(path, O_WRONLY);
  try {
    const bytes = new TextEncoder().encode(text);
    check(write(fd, bytes, bytes.length), `write ${JSON.stringify(text.trimEnd())} to ${path}`);
  } finally {
    close(fd);
  }
}

/** How many entries a directory has, not counting itself and its parent. Throws {@link SystemError}. */
export function countEntries(path: string): number {
  const directory = openDirectory(path);
  try {
    let entries = 0;
    while (nextEntry(directory)) entries++;
    return entries - 2;
  } finally {
    closeDirectory(directory);
  }
}
