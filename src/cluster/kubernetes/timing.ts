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

/**
 * The promise's result, unless the signal aborts first; then whatever it brings is dropped.
 *
 * @throws the signal's reason.
 */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const aborted = Promise.withResolvers<never>();
  const abort = () => aborted.reject(signal.reason);
  if (signal.aborted) abort();
  signal.addEventListener("abort", abort, { once: true });
  try {
    return await Promise.race([promise, aborted.promise]);
  } finally {
    signal.removeEventListener("abort", abort);
  }
}
