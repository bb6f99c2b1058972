/**
 * Syncs come before answers: while the node is being brought in step, those who ask wait in a row, so
 * that however many there are, they take a bounded part of the processor.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import type { Check } from "./checks.ts";

/** What is left to the sync, as a multiple of the time that answers take. */
const LEFT_TO_SYNC = 2;

/** Shorter pauses are saved up until they are worth a timer, milliseconds. */
const SHORTEST_PAUSE_MS = 4;

/** A pause is no longer than this, whatever the answer before it took, milliseconds. */
const LONGEST_PAUSE_MS = 100;

/** Lets requests to a path pass, one after the other with pauses while a sync is under way. */
export function syncsFirst(syncing: () => boolean, path: string): Check {
  const row = new Row(syncing);
  return (context) => context.req.path.startsWith(path) ? row.turn() : null;
}

class Row {
  readonly #syncing: () => boolean;
  #waiting: (() => void)[] = [];
  #moving = false;

  constructor(syncing: () => boolean) {
    this.#syncing = syncing;
  }

  /** Resolves when it is the caller's turn; null: at once. */
  turn(): Promise<void> | null {
    if (!this.#moving && !this.#syncing()) return null;
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#waiting.push(resolve);
    if (!this.#moving) this.#move();
    return promise;
  }

  /** Whoever awaits something else than the processor does not keep the others from their turns. */
  async #move(): Promise<void> {
    this.#moving = true;
    let owed = 0;
    while (this.#waiting.length > 0) {
      if (!this.#syncing()) {
        for (const resolve of this.#waiting) resolve();
        this.#waiting = [];
        break;
      }
      const start = performance.now();
      this.#waiting.shift()!();
      await new Promise((resolve) => setImmediate(resolve));
      owed += LEFT_TO_SYNC * (performance.now() - start);
      if (owed < SHORTEST_PAUSE_MS) continue;
      await new Promise((resolve) => setTimeout(resolve, Math.min(owed, LONGEST_PAUSE_MS)));
      owed = 0;
    }
    this.#moving = false;
  }
}
