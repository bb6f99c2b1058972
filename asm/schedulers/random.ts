/**
 * Random: each connection by chance, in proportion to weight, as kube-proxy's iptables mode does.
 */

import { randomBelow64 } from "../random";
import { memberAt, NONE, Pool } from "../tables/pools";

/** The first member, by list order, at which the sum of the weights reaches `ticket`, from 1 on. */
export function memberOfTicket(pool: Pool, ticket: u64): u32 {
  let low: u32 = 0;
  let high = pool.count - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (memberAt(pool, middle).cumulative >= ticket) high = middle;
    else low = middle + 1;
  }
  return low;
}

/** A member, or NONE. */
export function pickRandom(pool: Pool): u32 {
  if (pool.totalWeight == 0) return NONE;
  return memberOfTicket(pool, randomBelow64(pool.totalWeight) + 1);
}
