/**
 * sh, ip_vs_sh.c: by the source's address, with flag Port by its port too. 256 buckets are dealt out
 * by weight; a member of weight 0 gets one each turn, and refuses.
 */

import { SchedulerFlag } from "../abi";
import { memberAt, NONE, Pool, renewIndex } from "../tables/pools";
import { sourcePort, Tuple } from "../tuple";
import { fold, hash8 } from "./hash";

const BUCKETS: u32 = 256;

/** Deals the buckets out; false when there is no room for them. */
export function buildSh(pool: Pool): bool {
  if (pool.count == 0) {
    renewIndex(pool, 0);
    return true;
  }
  const table = renewIndex(pool, BUCKETS * 4);
  if (table == 0) return false;
  let member: u32 = 0;
  let given: u32 = 0;
  for (let bucket: u32 = 0; bucket < BUCKETS; bucket++) {
    store<u32>(table + (<usize>bucket << 2), member);
    given++;
    if (given < memberAt(pool, member).weight) continue;
    given = 0;
    member = member + 1 < pool.count ? member + 1 : 0;
  }
  return true;
}

/** The source's member; NONE when it takes no connections and, with flag Fallback, nobody does. */
export function pickSh(pool: Pool, flags: u32, t: Tuple): u32 {
  if (pool.count == 0) return NONE;
  const port = (flags & SchedulerFlag.Port) != 0 ? sourcePort(t) : 0;
  const hash = hash8(fold(t.sourceHi, t.sourceLo) + port);
  const own = load<u32>(pool.index + (<usize>hash << 2));
  if (memberAt(pool, own).weight > 0) return own;
  if ((flags & SchedulerFlag.Fallback) == 0) return NONE;
  for (let offset: u32 = 0; offset < BUCKETS; offset++) {
    // The hash counts twice, in Linux too: the search does not begin beside the own bucket.
    const bucket = (2 * hash + offset) & (BUCKETS - 1);
    const other = load<u32>(pool.index + (<usize>bucket << 2));
    if (memberAt(pool, other).weight > 0) return other;
  }
  return NONE;
}
