/** Noticing changes of a file or folder. @module */

import { statPath } from "./files.ts";

/** Quiet time after which a change counts as complete, in milliseconds. */
const QUIET_MS = 50;
/** A change is told after this time even if there is no quiet. */
const LONGEST_WAIT_MS = 500;

/**
 * Watches a file or folder from the moment it is made. A file is watched through its folder, since
 * editors replace files by renaming, and mounted ConfigMaps by exchanging a link next to them.
 */
export class PathWatcher {
  readonly #watcher: Deno.FsWatcher;
  readonly #concerns: (path: string) => boolean;

  private constructor(folder: string, concerns: (path: string) => boolean) {
    this.#watcher = Deno.watchFs(folder, { recursive: false });
    this.#concerns = concerns;
  }

  /** @throws when the path is not there or cannot be watched. */
  static async open(path: string): Promise<PathWatcher> {
    if ((await statPath(path)).isDirectory) return new PathWatcher(path, () => true);
    const slash = path.lastIndexOf("/");
    const name = path.slice(slash + 1);
    const folder = slash < 0 ? "." : slash === 0 ? "/" : path.slice(0, slash);
    return new PathWatcher(folder, (changed) => {
      const base = changed.slice(changed.lastIndexOf("/") + 1);
      return base === name || base.startsWith("..");
    });
  }

  /** Ends the iteration of {@link changes}. */
  close(): void {
    this.#watcher.close();
  }

  /** Yields after changes, once for several that follow closely on each other. */
  async *changes(): AsyncGenerator<void> {
    const events = this.#watcher[Symbol.asyncIterator]();
    let next = events.next();
    while (true) {
      const { done, value: event } = await next;
      if (done) return;
      next = events.next();
      if (!this.#isChange(event)) continue;
      const end = performance.now() + LONGEST_WAIT_MS;
      while (performance.now() < end) {
        const result = await Promise.race([next, quiet()]);
        if (result === null) break;
        if (result.done) return;
        next = events.next();
      }
      yield;
    }
  }

  #isChange(event: Deno.FsEvent): boolean {
    return event.kind !== "access" && event.paths.some(this.#concerns);
  }
}

function quiet(): Promise<null> {
  return new Promise((resolve) => setTimeout(resolve, QUIET_MS, null));
}
