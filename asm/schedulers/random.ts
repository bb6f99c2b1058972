/**
 * Random: each connection by chance, in proportion to weight, as kube-proxy's iptables mode does.
 */

import { randomBelow64 } from "../random";
import { memberAt, Pool } from "../tables/pools";

/** Index of a member; the pool has a usable one. */
export function pickRandom(pool: Pool): u32 {
  const ticket = randomBelow64(pool.totalWeight);
  let low: u32 = 0;
  let high = pool.count - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (memberAt(pool, middle).cumulative > ticket) high = middle;
    else low = middle + 1;
  }
  return low;
}
