/**
 * Runs a function often enough and not too often: kube-proxy's BoundedFrequencyRunner.
 *
 * The least interval is, as in kube-proxy up to 1.33, one between beginnings: where a sync takes
 * longer than it, changes wait for that sync and not for the interval besides, as they do since 1.34.
 *
 * @module
 */

import { type Clock, systemClock } from "./clock.ts";

/** When the function runs. All times in milliseconds. */
export interface RunnerOptions {
  /** Least time from the start of one run to the start of the next. */
  readonly minIntervalMs: number;
  /** After a run that failed, another is tried this long after it, unless one succeeds earlier. */
  readonly retryIntervalMs: number;
  /** A run is forced this long after the last one. */
  readonly maxIntervalMs: number;
  readonly clock?: Clock;
  /** Told of every run that failed. */
  onError(error: unknown): void;
}

/**
 * After a run, others have their turn for a tenth of its length, but for no longer than the interval.
 * What comes in answer to what it brought about need not wait for two more runs then.
 */
const REST = 0.1;

/**
 * A function that is run when asked for, never twice at once. However often it is asked for while it
 * runs or waits, it runs once more: a burst of requests makes one run at once and then at most one
 * every minimum interval.
 */
export class BoundedFrequencyRunner {
  readonly #run: () => Promise<void>;
  readonly #options: RunnerOptions;
  readonly #clock: Clock;
  #started = false;
  #stopped = false;
  #requested = false;
  #running: Promise<void> | null = null;
  /** When the interval after the last run is over; −∞ before the first. */
  #ready = -Infinity;
  #cancelTimer: (() => void) | null = null;

  constructor(run: () => Promise<void>, options: RunnerOptions) {
    this.#run = run;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
  }

  /** Requests count from here on; those before are dropped. */
  start(): void {
    this.#started = true;
  }

  /** Asks for a run, as soon as the minimum interval allows. */
  request(): void {
    if (!this.#started || this.#stopped) return;
    this.#requested = true;
    if (this.#running === null) this.#schedule(this.#ready);
  }

  /** No run starts any more; resolves when the one that is under way has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelTimer?.();
    this.#cancelTimer = null;
    await this.#running;
  }

  #schedule(at: number): void {
    this.#cancelTimer?.();
    const wait = at - this.#clock.now();
    if (wait <= 0) {
      this.#cancelTimer = null;
      this.#running = this.#once();
    } else {
      this.#cancelTimer = this.#clock.after(wait, () => {
        this.#cancelTimer = null;
        this.#running = this.#once();
      });
    }
  }

  async #once(): Promise<void> {
    const { minIntervalMs, retryIntervalMs, maxIntervalMs } = this.#options;
    const started = this.#clock.now();
    this.#requested = false;
    let failed = false;
    try {
      await this.#run();
    } catch (error) {
      failed = true;
      this.#options.onError(error);
    }
    const ended = this.#clock.now();
    const rest = Math.min(Math.ceil(REST * (ended - started)), minIntervalMs);
    this.#ready = Math.max(started + minIntervalMs, ended + rest);
    this.#running = null;
    if (this.#stopped) return;
    if (this.#requested) this.#schedule(this.#ready);
    else this.#schedule(ended + (failed ? retryIntervalMs : maxIntervalMs));
  }
}
