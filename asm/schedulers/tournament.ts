/**
 * A tournament over a pool: a binary tree whose leaves are the members, by list order, and where
 * every node has the winner of the two below it, the left one when they are equal. So the root has
 * what a scan of the list would find, and a member's new cost is known there after one path.
 */

import { memberAt, NONE, Pool, renewIndex } from "../tables/pools";
import { powerOfTwo } from "../memory";
import { costOf } from "./cost";
import { isLess, UNUSABLE } from "./fraction";

@unmanaged
class Node {
  cost: u64;
  /** Index of the winner. */
  winner: u32;
  padding: u32;
}

const NODE_SIZE: u32 = <u32>offsetof<Node>();

/** Node 1 is the root, those below node n are 2n and 2n + 1. */
// @ts-ignore: decorator
@inline
function nodeAt(pool: Pool, node: u32): Node {
  return changetype<Node>(pool.index + <usize>node * NODE_SIZE);
}

function play(pool: Pool, node: u32): void {
  const left = nodeAt(pool, node << 1);
  const right = nodeAt(pool, (node << 1) | 1);
  const winner = isLess(right.cost, left.cost) ? right : left;
  const above = nodeAt(pool, node);
  above.cost = winner.cost;
  above.winner = winner.winner;
}

/** Builds the tree anew; without room there is none. */
export function buildTournament(scheduler: u32, pool: Pool): void {
  const leaves = powerOfTwo(pool.count);
  if (renewIndex(pool, leaves * 2 * NODE_SIZE) == 0) return;
  for (let i: u32 = 0; i < leaves; i++) {
    const leaf = nodeAt(pool, leaves + i);
    leaf.cost = i < pool.count ? costOf(scheduler, memberAt(pool, i)) : UNUSABLE;
    leaf.winner = i;
  }
  for (let node = leaves - 1; node > 0; node--) play(pool, node);
  pool.leaves = leaves;
}

/** Tells the tree a member's cost. */
export function updateTournament(pool: Pool, index: u32, cost: u64): void {
  let node = pool.leaves + index;
  const leaf = nodeAt(pool, node);
  if (leaf.cost == cost) return;
  leaf.cost = cost;
  let winner = index;
  while (node > 1) {
    const other = nodeAt(pool, node ^ 1);
    // Without branches, which would be chance to the processor: a right one also loses when equal.
    const own = (cost >> 32) * <u64><u32>other.cost + (node & 1);
    const loses = own > (other.cost >> 32) * <u64><u32>cost;
    const mask = -(<u64>loses);
    cost ^= (cost ^ other.cost) & mask;
    winner ^= (winner ^ other.winner) & <u32>mask;
    node >>= 1;
    const above = nodeAt(pool, node);
    // Somebody else had won here and has won again: nothing changes further up.
    if (above.winner == winner && winner != index) return;
    above.cost = cost;
    above.winner = winner;
  }
}

/** The winner, or NONE when nobody is usable. */
export function champion(pool: Pool): u32 {
  const root = nodeAt(pool, 1);
  return root.cost == UNUSABLE ? NONE : root.winner;
}
