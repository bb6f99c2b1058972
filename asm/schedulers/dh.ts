/**
 * dh, ip_vs_dh.c: by the destination's address, whatever the weights. Linux fills 256 buckets with the
 * list again and again; so bucket i has member i modulo their number, and needs no table.
 */

import { memberAt, NONE, Pool } from "../tables/pools";
import { Tuple } from "../tuple";
import { fold, hash8 } from "./hash";

/** The destination's member, or NONE when it takes no connections: no other is tried. */
export function pickDh(pool: Pool, t: Tuple): u32 {
  if (pool.count == 0) return NONE;
  const index = hash8(fold(t.destHi, t.destLo)) % pool.count;
  return memberAt(pool, index).weight > 0 ? index : NONE;
}
