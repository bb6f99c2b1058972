/**
 * mh, ip_vs_mh.c: Maglev, by the source's address, with flag Port by its port too. Every member has a
 * permutation of the 4093 buckets, made of its own address and port; in turns they take the next of
 * it that is free. So equal lists make equal tables on every node, and a change moves few buckets.
 */

import { SchedulerFlag } from "../abi";
import { allocateTable, releaseTable } from "../arena";
import { backendAt } from "../tables/backends";
import { memberAt, NONE, Pool, renewIndex } from "../tables/pools";
import { sourcePort, Tuple } from "../tuple";
import { fold, siphash13 } from "./hash";
import { gcd } from "./wrr";

const BUCKETS: u32 = 4093;
/** Weights count to this many bits. */
const WEIGHT_BITS: u32 = 6;
const KEY1: u64 = 2654435761;
const KEY2: u64 = 2654446892;

/** A bucket that nobody has. */
const EMPTY: u16 = 0xffff;

/** A member's way through the buckets. */
@unmanaged
class Walk {
  at: u32;
  skip: u32;
  turns: u32;
}

const WALK_SIZE: u32 = <u32>offsetof<Walk>();

/**
 * Fills the table; false when there is no room for it. Of more members than buckets the oldest, at
 * the list's end, have a place.
 */
export function buildMh(pool: Pool): bool {
  let divisor: u32 = 0;
  let greatest: u32 = 0;
  const first = pool.count > BUCKETS ? pool.count - BUCKETS : 0;
  for (let i = first; i < pool.count; i++) {
    divisor = gcd(memberAt(pool, i).lastWeight, divisor);
    greatest = max(greatest, memberAt(pool, i).lastWeight);
  }
  if (greatest == 0) {
    renewIndex(pool, 0);
    return true;
  }
  const table = renewIndex(pool, BUCKETS * 2);
  const walksBytes = (pool.count - first) * WALK_SIZE;
  const walks: usize = table == 0 ? 0 : allocateTable(walksBytes);
  if (walks == 0) {
    renewIndex(pool, 0);
    return false;
  }
  const bits: u32 = 32 - clz<u32>(greatest / divisor);
  const shift = bits > WEIGHT_BITS ? bits - WEIGHT_BITS : 0;
  for (let i = first; i < pool.count; i++) {
    const b = backendAt(memberAt(pool, i).backend);
    const word = fold(b.addressHi, b.addressLo) + bswap<u16>(b.port);
    const weight = memberAt(pool, i).lastWeight;
    const walk = changetype<Walk>(walks + <usize>(i - first) * WALK_SIZE);
    walk.at = siphash13(word, KEY1) % BUCKETS;
    walk.skip = siphash13(word, KEY2) % (BUCKETS - 1) + 1;
    walk.turns = weight == 0 ? 0 : max<u32>((weight / divisor) >> shift, 1);
  }
  deal(pool, table, walks, first);
  releaseTable(walks, walksBytes);
  return true;
}

function deal(pool: Pool, table: usize, walks: usize, first: u32): void {
  memory.fill(table, 0xff, BUCKETS * 2);
  let filled: u32 = 0;
  while (true) {
    for (let i = first; i < pool.count; i++) {
      const walk = changetype<Walk>(walks + <usize>(i - first) * WALK_SIZE);
      for (let turn: u32 = 0; turn < walk.turns; turn++) {
        while (load<u16>(table + (<usize>walk.at << 1)) != EMPTY) {
          walk.at = (walk.at + walk.skip) % BUCKETS;
        }
        store<u16>(table + (<usize>walk.at << 1), <u16>(i - first));
        if (++filled == BUCKETS) return;
      }
    }
  }
}

/** The source's member; NONE when it takes no connections and, with flag Fallback, nobody does. */
export function pickMh(pool: Pool, flags: u32, t: Tuple): u32 {
  if (pool.index == 0) return NONE;
  const port = (flags & SchedulerFlag.Port) != 0 ? sourcePort(t) : 0;
  const word = fold(t.sourceHi, t.sourceLo) + port;
  const hash = siphash13(word, KEY1) % BUCKETS;
  const own = memberOf(pool, hash);
  if (memberAt(pool, own).weight > 0) return own;
  if ((flags & SchedulerFlag.Fallback) == 0) return NONE;
  for (let offset: u32 = 0; offset < BUCKETS; offset++) {
    const bucket = siphash13((offset + hash) % BUCKETS + word, KEY1) % BUCKETS;
    const other = memberOf(pool, bucket);
    if (memberAt(pool, other).weight > 0) return other;
  }
  return NONE;
}

// @ts-ignore: decorator
@inline
function memberOf(pool: Pool, bucket: u32): u32 {
  const first = pool.count > BUCKETS ? pool.count - BUCKETS : 0;
  return first + load<u16>(pool.index + (<usize>bucket << 1));
}
