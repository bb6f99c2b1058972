/**
 * How long to wait before trying again.
 *
 * @module
 */

import type { Timing } from "./timing.ts";

/** First wait, longest wait, and the quiet time after which all is forgiven: client-go's values. */
const FIRST_MS = 800;
const LONGEST_MS = 30_000;
const RESET_MS = 120_000;
/** No server may send a node away for longer than this, whatever its Retry-After says. */
const LONGEST_RETRY_AFTER_MS = 300_000;

/**
 * Exponential backoff with jitter: each wait is up to twice the nominal one, so that the nodes of a
 * cluster do not come back all at once after an API server has been away. Success alone does not
 * reset it, only two minutes without failure: a server that answers and fails in turn is spared too.
 */
export class Backoff {
  readonly #timing: Timing;
  #nominal = FIRST_MS;
  #last = -Infinity;

  constructor(timing: Timing) {
    this.#timing = timing;
  }

  /**
   * The wait after one more failure, milliseconds.
   *
   * @param retryAfterMs what the server asked for; the wait is at least that.
   */
  next(retryAfterMs = 0): number {
    const now = this.#timing.now();
    if (now - this.#last > RESET_MS + this.#nominal) this.#nominal = FIRST_MS;
    this.#last = now;
    const wait = this.#nominal * (1 + this.#timing.random());
    this.#nominal = Math.min(2 * this.#nominal, LONGEST_MS);
    const asked = Math.min(retryAfterMs, LONGEST_RETRY_AFTER_MS);
    return asked > wait ? asked + FIRST_MS * this.#timing.random() : wait;
  }
}
