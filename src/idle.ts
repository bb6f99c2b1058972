/**
 * Noticing that something has not been used for a while.
 *
 * @module
 */

/** Calls back once something has been idle for a time; until it is used again, that is all. */
export class IdleWatch {
  readonly #idleMs: number;
  readonly #idle: () => void;
  #used = false;
  #watching = false;

  /** @param idleMs milliseconds; the call comes between one and two times as long after a use. */
  constructor(idleMs: number, idle: () => void) {
    this.#idleMs = idleMs;
    this.#idle = idle;
  }

  /** It is used this moment. */
  use(): void {
    this.#used = true;
    if (!this.#watching) this.#watch();
  }

  #watch(): void {
    this.#watching = true;
    this.#used = false;
    const timer = setTimeout(() => {
      this.#watching = false;
      if (this.#used) this.#watch();
      else this.#idle();
    }, this.#idleMs);
    Deno.unrefTimer(timer);
  }
}
