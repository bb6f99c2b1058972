/**
 * twos, ip_vs_twos.c: of two members drawn by weight the one with less overhead for its weight.
 */

import { randomBelow64 } from "../random";
import { backendAt } from "../tables/backends";
import { memberAt, NONE, Pool } from "../tables/pools";
import { memberOfTicket } from "./random";
import { overhead } from "./wlc";

/** A member, or NONE. */
export function pickTwos(pool: Pool): u32 {
  if (pool.totalWeight == 0) return NONE;
  const first = draw(pool);
  const second = draw(pool);
  const a = memberAt(pool, first);
  const b = memberAt(pool, second);
  // Products of 32 bits, as in Linux.
  const better = <i32>(b.weight * overhead(backendAt(a.backend))) >
    <i32>(a.weight * overhead(backendAt(b.backend)));
  return better ? second : first;
}

/** Linux draws from 0 to the sum, both included, and takes 0 for the first member. */
function draw(pool: Pool): u32 {
  return memberOfTicket(pool, max<u64>(randomBelow64(pool.totalWeight + 1), 1));
}
