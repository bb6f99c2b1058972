/** The engine's clock: milliseconds as the host counts them. It never goes back. */

/** Now, ms. */
export let now: u64 = 0;

/** How far ahead the host's time is; 0 for an earlier time, or for one that is no number. */
export function aheadBy(ms: f64): u64 {
  if (!(ms > 0 && ms < 9e15)) return 0;
  const next = <u64>ms;
  return next > now ? next - now : 0;
}

export function moveOn(ms: u64): void {
  now += ms;
}
