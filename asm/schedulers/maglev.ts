/**
 * Maglev's table (Eisenbud and others, NSDI 2016): every member has a permutation of the buckets, made
 * of its own address and port; in turns they take the next of it that is free. So equal lists make
 * equal tables on every node, and a change moves few buckets.
 */

import { siphash13 } from "./hash";

const KEY1: u64 = 2654435761;
const KEY2: u64 = 2654446892;

/** A bucket that nobody has. */
const EMPTY: u16 = 0xffff;

/** A member's way through the buckets, of which it takes so many in a turn. */
@unmanaged
export class Walk {
  at: u32;
  skip: u32;
  turns: u32;
}

export const WALK_SIZE: u32 = <u32>offsetof<Walk>();

// @ts-ignore: decorator
@inline
export function walkAt(walks: usize, index: u32): Walk {
  return changetype<Walk>(walks + <usize>index * WALK_SIZE);
}

/** The bucket that a word's hash leads to. */
// @ts-ignore: decorator
@inline
export function bucketOf(word: u32, buckets: u32): u32 {
  return siphash13(word, KEY1) % buckets;
}

/** Begins the walk of the member that a word stands for. */
export function beginWalk(walk: Walk, word: u32, turns: u32, buckets: u32): void {
  walk.at = bucketOf(word, buckets);
  walk.skip = siphash13(word, KEY2) % (buckets - 1) + 1;
  walk.turns = turns;
}

/**
 * Deals a prime number of buckets out, a u16 each, the number of the member that has it; at least one
 * member takes turns.
 */
export function deal(table: usize, buckets: u32, walks: usize, members: u32): void {
  const length = <usize>buckets << 1;
  const end = table + length;
  memory.fill(table, 0xff, length);
  let free = buckets;
  while (true) {
    for (let i: u32 = 0; i < members; i++) {
      const walk = walkAt(walks, i);
      const skip = <usize>walk.skip << 1;
      let at = table + (<usize>walk.at << 1);
      for (let turn = walk.turns; turn > 0; turn--) {
        while (load<u16>(at) != EMPTY) {
          at += skip;
          at = select(at, at - length, at < end);
        }
        store<u16>(at, <u16>i);
        if (--free == 0) return;
      }
      walk.at = <u32>((at - table) >> 1);
    }
  }
}
