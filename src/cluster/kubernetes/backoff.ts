/**
 * How long to wait before trying again.
 *
 * @module
 */

import type { Timing } from "./timing.ts";

/** First and longest nominal wait. */
const FIRST_MS = 800;
const LONGEST_MS = 15_000;
/** No server may send a node away for longer than this, whatever its Retry-After says. */
const LONGEST_RETRY_AFTER_MS = 300_000;

/**
 * Exponential backoff with jitter: each wait is up to twice the nominal one, so that the nodes of a
 * cluster do not come back all at once after an API server has been away. The first and the longest
 * wait are client-go's; but where client-go forgets failures after two minutes without one, this
 * does when it is told that the API is followed again, so that an API server that is restarted time
 * and again is not followed ever later.
 */
export class Backoff {
  readonly #timing: Timing;
  #nominal = FIRST_MS;

  constructor(timing: Timing) {
    this.#timing = timing;
  }

  /**
   * The wait after one more failure, milliseconds.
   *
   * @param retryAfterMs what the server asked for; the wait is at least that.
   */
  next(retryAfterMs = 0): number {
    const wait = this.#nominal * (1 + this.#timing.random());
    this.#nominal = Math.min(2 * this.#nominal, LONGEST_MS);
    const asked = Math.min(retryAfterMs, LONGEST_RETRY_AFTER_MS);
    return asked > wait ? asked + FIRST_MS * this.#timing.random() : wait;
  }

  /** Forgets all failures. */
  reset(): void {
    this.#nominal = FIRST_MS;
  }
}
