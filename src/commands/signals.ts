/**
 * SIGINT and SIGTERM: the first asks for a graceful end, a second one ends at once.
 *
 * @module
 */

/** Signals that ask a process to end. */
const SIGNALS = ["SIGINT", "SIGTERM"] as const;

/** Resolves at the first signal. From then on a further signal ends the process with status 1. */
export function endRequested(): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  let asked = false;
  const handle = () => {
    if (asked) Deno.exit(1);
    asked = true;
    resolve();
  };
  for (const signal of SIGNALS) Deno.addSignalListener(signal, handle);
  return promise;
}
