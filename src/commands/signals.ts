/**
 * SIGINT, SIGTERM and SIGHUP: the first asks for a graceful end, a later one ends at once.
 *
 * @module
 */

import { ignoresHangup } from "../linux/process.ts";

/** Signals that ask a process to end. */
const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/**
 * Signals so soon after the first are still the same request: Ctrl-C in a terminal reaches the
 * program directly and once more from each program that started it and passes signals on, as
 * `deno task` does.
 */
const SAME_REQUEST_MS = 1000;

/** Resolves at the first signal. A second after it, a further one ends the process with status 1. */
export function endRequested(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let asked: number | null = null;
  const handle = () => {
    if (asked !== null && performance.now() - asked > SAME_REQUEST_MS) Deno.exit(1);
    asked ??= performance.now();
    resolve();
  };
  // Listening would undo nohup's wish.
  const hangup = ignoresHangup() ? [] : ["SIGHUP" as const];
  for (const signal of [...SIGNALS, ...hangup]) Deno.addSignalListener(signal, handle);
  return promise;
}
