/**
 * Ends what makes no progress.
 *
 * @module
 */

import type { Timing } from "./timing.ts";

/**
 * A signal that aborts when its parent does, or when the watchdog was given a time and not fed
 * again before it passed. A connection whose other end is gone without a word is only found so.
 */
export class Watchdog {
  readonly #controller = new AbortController();
  readonly #timing: Timing;
  readonly #parent: AbortSignal;
  readonly #abort: () => void;
  #cancel: (() => void) | null = null;

  constructor(parent: AbortSignal, timing: Timing) {
    this.#timing = timing;
    this.#parent = parent;
    this.#abort = () => this.#controller.abort(parent.reason);
    if (parent.aborted) this.#abort();
    else parent.addEventListener("abort", this.#abort, { once: true });
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Whether it was the time that ended it. */
  get barked(): boolean {
    return this.signal.aborted && !this.#parent.aborted;
  }

  /** Expects the next sign of life within a time. */
  feed(ms: number): void {
    this.rest();
    this.#cancel = this.#timing.after(
      ms,
      () => this.#controller.abort(new Error(`nothing came for ${ms / 1000} s`)),
    );
  }

  /** Expects nothing, until fed again. */
  rest(): void {
    this.#cancel?.();
    this.#cancel = null;
  }

  /** Lets go of the parent and of the clock. */
  close(): void {
    this.rest();
    this.#parent.removeEventListener("abort", this.#abort);
  }
}
