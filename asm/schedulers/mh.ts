/**
 * mh, ip_vs_mh.c: Maglev with 4093 buckets, by the source's address, with flag Port by its port too.
 */

import { SchedulerFlag } from "../abi";
import { allocateTable, releaseTable } from "../arena";
import { backendAt } from "../tables/backends";
import { memberAt, NONE, Pool, renewIndex } from "../tables/pools";
import { sourcePort, Tuple } from "../tuple";
import { fold } from "./hash";
import { beginWalk, bucketOf, deal, WALK_SIZE, walkAt } from "./maglev";
import { gcd } from "./wrr";

const BUCKETS: u32 = 4093;
/** Weights count to this many bits. */
const WEIGHT_BITS: u32 = 6;

/**
 * Fills the table; false when there is no room for it. Of more members than buckets the oldest, at
 * the list's end, have a place.
 */
export function buildMh(pool: Pool): bool {
  const first = firstMember(pool);
  let divisor: u32 = 0;
  let greatest: u32 = 0;
  for (let i = first; i < pool.count; i++) {
    divisor = gcd(memberAt(pool, i).lastWeight, divisor);
    greatest = max(greatest, memberAt(pool, i).lastWeight);
  }
  if (greatest == 0) {
    renewIndex(pool, 0);
    return true;
  }
  const members = pool.count - first;
  const table = renewIndex(pool, BUCKETS * 2);
  const walksBytes = members * WALK_SIZE;
  const walks: usize = table == 0 ? 0 : allocateTable(walksBytes);
  if (walks == 0) {
    renewIndex(pool, 0);
    return false;
  }
  const bits: u32 = 32 - clz<u32>(greatest / divisor);
  const shift = bits > WEIGHT_BITS ? bits - WEIGHT_BITS : 0;
  for (let i: u32 = 0; i < members; i++) {
    const member = memberAt(pool, first + i);
    const b = backendAt(member.backend);
    const word = fold(b.addressHi, b.addressLo) + bswap<u16>(b.port);
    const weight = member.lastWeight;
    const turns = weight == 0 ? 0 : max<u32>((weight / divisor) >> shift, 1);
    beginWalk(walkAt(walks, i), word, turns, BUCKETS);
  }
  deal(table, BUCKETS, walks, members);
  releaseTable(walks, walksBytes);
  return true;
}

/** The source's member; NONE when it takes no connections and, with flag Fallback, nobody does. */
export function pickMh(pool: Pool, flags: u32, t: Tuple): u32 {
  if (pool.index == 0) return NONE;
  const port = (flags & SchedulerFlag.Port) != 0 ? sourcePort(t) : 0;
  const word = fold(t.sourceHi, t.sourceLo) + port;
  const hash = bucketOf(word, BUCKETS);
  const own = memberOf(pool, hash);
  if (memberAt(pool, own).weight > 0) return own;
  if ((flags & SchedulerFlag.Fallback) == 0) return NONE;
  for (let offset: u32 = 0; offset < BUCKETS; offset++) {
    const bucket = bucketOf((offset + hash) % BUCKETS + word, BUCKETS);
    const other = memberOf(pool, bucket);
    if (memberAt(pool, other).weight > 0) return other;
  }
  return NONE;
}

// @ts-ignore: decorator
@inline
function firstMember(pool: Pool): u32 {
  return pool.count > BUCKETS ? pool.count - BUCKETS : 0;
}

// @ts-ignore: decorator
@inline
function memberOf(pool: Pool, bucket: u32): u32 {
  return firstMember(pool) + load<u16>(pool.index + (<usize>bucket << 1));
}
