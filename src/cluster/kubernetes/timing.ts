/**
 * Time and chance, as something that tests can put in their place.
 *
 * @module
 */

/** What waiting and jitter are made of; all times in milliseconds. */
export interface Timing {
  /** Milliseconds since any fixed moment; never goes back. */
  now(): number;
  /** Calls back once; returns what cancels that. */
  after(ms: number, callback: () => void): () => void;
  /** A number from 0 up to, not including, 1. */
  random(): number;
}

/** The machine's clock and generator. */
export const systemTiming: Timing = {
  now: () => performance.now(),
  after(ms, callback) {
    const timer = setTimeout(callback, ms);
    return () => clearTimeout(timer);
  },
  random: Math.random,
};

/** Resolves after a time, or at once when the signal aborts. */
export function sleep(timing: Timing, ms: number, signal: AbortSignal): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  if (signal.aborted) return Promise.resolve();
  const wake = () => {
    cancel();
    signal.removeEventListener("abort", wake);
    resolve();
  };
  const cancel = timing.after(ms, wake);
  signal.addEventListener("abort", wake, { once: true });
  return promise;
}
