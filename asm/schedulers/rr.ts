/** Round robin: one after the other in the pool's order; weights only tell who takes part. */

import { memberAt, Pool } from "../tables/pools";

/** Index of the member whose turn it is; the pool has a usable one. */
export function peekRoundRobin(pool: Pool): u32 {
  for (let i: u32 = 0; i < pool.count; i++) {
    const index = (pool.cursor + i) % pool.count;
    if (memberAt(pool, index).weight > 0) return index;
  }
  return 0;
}

/** The same, and the turn passes on. */
export function pickRoundRobin(pool: Pool): u32 {
  const index = peekRoundRobin(pool);
  pool.cursor = (index + 1) % pool.count;
  return index;
}
