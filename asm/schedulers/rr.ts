/** rr, ip_vs_rr.c: one after the other in the list; weights only tell who takes part. */

import { memberAt, NONE, Pool } from "../tables/pools";

/** The member behind the last pick that is usable, or NONE. */
// @ts-ignore: decorator
@inline
export function pickRr(pool: Pool, commit: bool): u32 {
  for (let i: u32 = 0; i < pool.count; i++) {
    const index = (pool.position + i) % pool.count;
    if (memberAt(pool, index).weight == 0) continue;
    if (commit) pool.position = index + 1;
    return index;
  }
  return NONE;
}
