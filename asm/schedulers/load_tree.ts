/**
 * A tree over a pool whose costs are whole numbers. Its leaves are the members' costs, by list order.
 * Up to sixteen entries of a level are a group, which has one entry in the level above: its least
 * cost and whose that is, the first one's of equals. So the root has what a scan of the list would
 * find.
 *
 * The costs of a group are a cache line, which four vectors hold at once; the winners lie apart.
 */

import { memberAt, NONE, Pool, renewIndex } from "../tables/pools";

/** Entries of a group, and the binary digits of a place in one. */
const GROUP: u32 = 16;
const DIGITS: u32 = 4;

/** The cost of a member of weight 0, and of a place without a member. */
const UNUSABLE: u32 = 0xffffffff;
const MOST: u32 = UNUSABLE - 1;

/** In front of the entries: those of the leaves, then level by level. */
@unmanaged
class Tree {
  /** Entries of the leaves, whole groups. */
  leaves: u32;
  /** The last entry. */
  root: u32;
  /** Where the winners of the entries above the leaves are: members' indexes. */
  winners: usize;
}

/** Keeps the groups on cache lines. */
const HEAD: u32 = 64;

// @ts-ignore: decorator
@inline
function treeOf(pool: Pool): Tree {
  return changetype<Tree>(pool.index);
}

// @ts-ignore: decorator
@inline
function costAt(tree: Tree, entry: u32): usize {
  return changetype<usize>(tree) + HEAD + (<usize>entry << 2);
}

// @ts-ignore: decorator
@inline
function winnerAt(tree: Tree, entry: u32): usize {
  return tree.winners + (<usize>(entry - tree.leaves) << 2);
}

/** Entries, in whole groups, of the level above one that has so many. */
// @ts-ignore: decorator
@inline
function above(entries: u32): u32 {
  return (entries + GROUP * (GROUP - 1)) >> (2 * DIGITS) << DIGITS;
}

/** Makes a tree in which nobody is usable; false when there is no room for it. */
export function makeLoadTree(pool: Pool): bool {
  const leaves = above(pool.count << DIGITS);
  let root = leaves;
  for (let length = leaves; length > GROUP; root += length) length = above(length);
  const entries = root + 1;
  if (renewIndex(pool, HEAD + (entries + entries - leaves) * 4) == 0) return false;
  pool.leaves = leaves;
  const tree = treeOf(pool);
  tree.leaves = leaves;
  tree.root = root;
  tree.winners = costAt(tree, entries);
  memory.fill(costAt(tree, 0), 0xff, entries * 4);
  memory.fill(tree.winners, 0xff, (entries - leaves) * 4);
  return true;
}

/** Brings a usable member into a new tree. */
export function addLoad(pool: Pool, index: u32, cost: u32): void {
  lower(treeOf(pool), index, min(cost, MOST));
}

/** Tells the tree a member's cost; that of one of weight 0 does not count. */
export function updateLoad(pool: Pool, index: u32, cost: u32): void {
  const tree = treeOf(pool);
  const before = load<u32>(costAt(tree, index));
  if (before == UNUSABLE) return;
  cost = min(cost, MOST);
  if (cost < before) lower(tree, index, cost);
  else if (cost > before) raise(tree, index, cost);
}

/** A member's cost is less than before: it wins as far up as nobody is as good. */
function lower(tree: Tree, index: u32, cost: u32): void {
  store<u32>(costAt(tree, index), cost);
  let at = index;
  let entry = index;
  let first: u32 = 0;
  for (let length = tree.leaves; entry != tree.root; length = above(length)) {
    at >>= DIGITS;
    first += length;
    entry = first + at;
    const least = load<u32>(costAt(tree, entry));
    if (least < cost || (least == cost && load<u32>(winnerAt(tree, entry)) < index)) return;
    store<u32>(costAt(tree, entry), cost);
    store<u32>(winnerAt(tree, entry), index);
  }
}

/** A member's cost is more than before: the groups in which it had won find their winner anew. */
function raise(tree: Tree, index: u32, cost: u32): void {
  storeLane(costAt(tree, index), i32x4.splat(cost));
  let at = index;
  let first: u32 = 0;
  for (let length = tree.leaves; first != tree.root; length = above(length)) {
    const next = first + length;
    const entry = next + (at >> DIGITS);
    if (load<u32>(winnerAt(tree, entry)) != index) return;
    const start = first + (at & ~(GROUP - 1));
    const group = costAt(tree, start);
    const a = v128.load(group);
    const b = v128.load(group, 16);
    const c = v128.load(group, 32);
    const d = v128.load(group, 48);
    const least = leastLane(i32x4.min_u(i32x4.min_u(a, b), i32x4.min_u(c, d)));
    const best = start + firstEqual(a, b, c, d, least);
    storeLane(costAt(tree, entry), least);
    store<u32>(winnerAt(tree, entry), first == 0 ? best : load<u32>(winnerAt(tree, best)));
    at >>= DIGITS;
    first = next;
  }
}

/** The least of four, in each lane. */
// @ts-ignore: decorator
@inline
function leastLane(four: v128): v128 {
  const two = i32x4.min_u(four, v128.shuffle<u32>(four, four, 2, 3, 0, 1));
  return i32x4.min_u(two, v128.shuffle<u32>(two, two, 1, 0, 3, 2));
}

/** The first place in a group where `cost` is, which is in all lanes. */
// @ts-ignore: decorator
@inline
function firstEqual(a: v128, b: v128, c: v128, d: v128, cost: v128): u32 {
  const low = i16x8.narrow_i32x4_s(i32x4.eq(a, cost), i32x4.eq(b, cost));
  const high = i16x8.narrow_i32x4_s(i32x4.eq(c, cost), i32x4.eq(d, cost));
  return ctz(i8x16.bitmask(i8x16.narrow_i16x8_s(low, high)));
}

/** All ones in one lane, whichever, by where it is read. */
const ONE_LANE: usize = memory.data<u32>([0, 0, 0, 0xffffffff, 0, 0, 0]);

/**
 * Stores one lane of a vector that has the same in all of them. The whole vector is written, as it
 * will be read next: processors wait for smaller stores to reach the cache.
 */
// @ts-ignore: decorator
@inline
function storeLane(at: usize, cost: v128): void {
  const four = at & ~15;
  const lane = v128.load(ONE_LANE + 12 - (at & 12));
  v128.store(four, v128.bitselect(cost, v128.load(four), lane));
}

/** The winner, or NONE when nobody is usable. */
export function leastLoaded(pool: Pool): u32 {
  const tree = treeOf(pool);
  return load<u32>(winnerAt(tree, tree.root));
}
