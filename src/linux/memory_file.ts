/**
 * Files that are nowhere but in memory, for programs that shall read all of a text or nothing: a pipe
 * whose writer is killed ends like one that has got everything.
 *
 * @module
 */

import { check, close, cString, libc, write } from "./libc.ts";

const MFD_CLOEXEC = 1;

/** A file that lasts until it is closed (memfd_create(2)). */
export class MemoryFile implements Disposable {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** Makes an empty one. Throws SystemError. */
  static create(name: string): MemoryFile {
    const fd = libc().memfd_create(cString(name), MFD_CLOEXEC);
    return new MemoryFile(check(fd, `memfd_create ${name}`));
  }

  /** Where other processes of the same user find it while it is open. */
  get path(): string {
    return `/proc/${Deno.pid}/fd/${this.#fd}`;
  }

  /** Adds a text at the end. Throws SystemError, as when there is no memory for it. */
  write(text: string): void {
    for (let bytes = new TextEncoder().encode(text); bytes.length > 0;) {
      bytes = bytes.subarray(check(write(this.#fd, bytes, bytes.length), "write to a memory file"));
    }
  }

  [Symbol.dispose](): void {
    close(this.#fd);
  }
}
