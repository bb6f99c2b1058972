/** The engine's clock: milliseconds as the host counts them. It never goes back. */

/** Now, ms. */
export let now: u64 = 0;

/**
 * Takes over the host's time; an earlier time than before, or one that is no number, is ignored.
 */
export function setNow(ms: f64): void {
  if (!(ms > 0 && ms < 9e15)) return;
  const next = <u64>ms;
  if (next > now) now = next;
}
