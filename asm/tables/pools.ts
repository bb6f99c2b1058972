/**
 * Pools: the lists of backends of a Service port, as schedulers walk them.
 *
 * The host replaces a list as a whole. To a scheduler that means what IPVS sees of the same change:
 * first every backend that is gone is deleted, in the list's order, then every other weight that is
 * new is edited, in the host's order, then every new backend is added, in the host's order. An
 * added backend goes to the head of the list; an edit keeps its place.
 */

import { PoolKind, PoolRecord } from "../abi";
import { allocate, allocateTable, release, releaseTable } from "../arena";
import { region } from "../memory";
import { Backend, backendAt, poolIndex, setPoolIndex } from "./backends";

@unmanaged
export class Pool {
  /** Members, newest first. */
  items: usize;
  count: u32;
  /** Backends with weight above 0. */
  usable: u32;
  totalWeight: u64;
  /** rr, wrr: the member that was picked last, its index + 1; 0 is the list's head. */
  position: u32;
  /** wrr: the weight that is enough now, the highest such, and the step between them. */
  enough: i32;
  highest: i32;
  step: i32;
  /** What the scheduler has built over the list, if anything, and its length in bytes. */
  index: usize;
  indexBytes: u32;
  /** Leaves of the tree in the index, 0 when it is none. */
  leaves: u32;
  /** lblc, lblcr: destinations that it remembers. */
  destinations: u32;
  /** The tree is one of whole costs: all that take connections have the same weight. */
  wholeCosts: bool;
  /** There was no room for a table that the scheduler needs: rr takes its place. */
  withoutTable: bool;
}

/** Bytes that a pool takes in its Service port. */
export const POOL_SIZE: usize = (offsetof<Pool>() + 7) & ~7;

/** One place in a pool. */
@unmanaged
export class Member {
  /** Sum of the weights up to and with this one. */
  cumulative: u64;
  backend: u32;
  weight: u32;
  /** The weight when it was added or, later, the last one above 0. */
  lastWeight: u32;
  /** Whether the last {@link setPool} added it or gave it another weight. */
  changed: u32;
}

const MEMBER_SIZE: u32 = <u32>offsetof<Member>();

/** No index: no member is usable. */
export const NONE: u32 = 0xffffffff;

// @ts-ignore: decorator
@inline
export function memberAt(pool: Pool, index: u32): Member {
  return changetype<Member>(pool.items + <usize>index * MEMBER_SIZE);
}

/** One step of a change: a member's weight before and after, 0 where it is not in the list. */
@unmanaged
export class Step {
  before: u32;
  after: u32;
  /** Room for what a scheduler computes. */
  note0: u32;
  note1: u32;
}

const STEP_SIZE: u32 = <u32>offsetof<Step>();

let journal: usize = 0;
/** Steps of the last {@link setPool}. */
export let steps: u32 = 0;

/** A backend takes part in at most one step of a change. */
export function layoutPools(backends: u32): void {
  journal = region(<usize>(backends + 1) * STEP_SIZE);
}

// @ts-ignore: decorator
@inline
export function stepAt(index: u32): Step {
  return changetype<Step>(journal + <usize>index * STEP_SIZE);
}

function note(before: u32, after: u32): void {
  const step = stepAt(steps++);
  step.before = before;
  step.after = after;
}

// @ts-ignore: decorator
@inline
function recordBackend(from: usize, index: u32): u32 {
  return load<u32>(from + <usize>index * PoolRecord.Size, PoolRecord.Backend);
}

// @ts-ignore: decorator
@inline
function recordWeight(from: usize, index: u32): u32 {
  return min<u32>(
    load<u32>(from + <usize>index * PoolRecord.Size, PoolRecord.Weight),
    <u32>i32.MAX_VALUE,
  );
}

/**
 * Replaces a pool's list by `count` PoolRecords at `from`; of two records of one backend the first
 * counts. The last pick of rr stays what it was, or moves to the next member before it that stays.
 * False when memory is short: the pool is unchanged.
 */
export function setPool(pool: Pool, kind: PoolKind, from: usize, count: u32): bool {
  let distinct: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const b = backendAt(recordBackend(from, i));
    if (b.mark != 0) continue;
    b.mark = i + 1;
    distinct++;
  }
  const items = distinct > 0 ? allocate(distinct * MEMBER_SIZE) : 0;
  if (distinct > 0 && items == 0) {
    for (let i: u32 = 0; i < count; i++) backendAt(recordBackend(from, i)).mark = 0;
    return false;
  }
  steps = 0;
  const survivors = takeSurvivors(pool, kind, from, items, distinct);
  const added = distinct - survivors;
  editAndAdd(kind, from, count, items, added);
  release(pool.items, pool.count * MEMBER_SIZE);
  pool.items = items;
  pool.count = distinct;
  finish(pool, kind);
  return true;
}

/** Deletes, and puts what stays at the new list's end; how many stay. */
function takeSurvivors(pool: Pool, kind: PoolKind, from: usize, items: usize, room: u32): u32 {
  let survivors: u32 = 0;
  for (let i: u32 = 0; i < pool.count; i++) {
    if (backendAt(memberAt(pool, i).backend).mark != 0) survivors++;
  }
  let at = room - survivors;
  let position: u32 = 0;
  for (let i: u32 = 0; i < pool.count; i++) {
    const old = memberAt(pool, i);
    const b = backendAt(old.backend);
    if (b.mark == 0) {
      note(old.weight, 0);
      setPoolIndex(b, kind, 0);
      continue;
    }
    const member = changetype<Member>(items + <usize>at * MEMBER_SIZE);
    at++;
    member.backend = old.backend;
    // The weight before; editAndAdd sets the new one.
    member.weight = old.weight;
    const weight = recordWeight(from, b.mark - 1);
    member.lastWeight = weight != 0 ? weight : old.lastWeight;
    member.changed = 0;
    setPoolIndex(b, kind, at);
    if (i < pool.position) position = at;
  }
  pool.position = position;
  return survivors;
}

function editAndAdd(kind: PoolKind, from: usize, count: u32, items: usize, added: u32): void {
  for (let i: u32 = 0; i < count; i++) {
    const b = backendAt(recordBackend(from, i));
    const index = poolIndex(b, kind);
    if (b.mark != i + 1 || index == 0) continue;
    const member = changetype<Member>(items + <usize>(index - 1) * MEMBER_SIZE);
    const weight = recordWeight(from, i);
    if (member.weight != weight) {
      note(member.weight, weight);
      member.weight = weight;
      member.changed = 1;
    }
    b.weight = weight;
    b.mark = 0;
  }
  let at = added;
  for (let i: u32 = 0; i < count; i++) {
    const id = recordBackend(from, i);
    const b = backendAt(id);
    if (b.mark != i + 1) continue;
    const weight = recordWeight(from, i);
    note(0, weight);
    at--;
    const member = changetype<Member>(items + <usize>at * MEMBER_SIZE);
    member.backend = id;
    member.weight = weight;
    member.lastWeight = weight;
    member.changed = 1;
    b.weight = weight;
    b.mark = 0;
  }
}

function finish(pool: Pool, kind: PoolKind): void {
  let total: u64 = 0;
  let usable: u32 = 0;
  for (let i: u32 = 0; i < pool.count; i++) {
    const member = memberAt(pool, i);
    total += member.weight;
    if (member.weight > 0) usable++;
    member.cumulative = total;
    setPoolIndex(backendAt(member.backend), kind, i + 1);
  }
  pool.usable = usable;
  pool.totalWeight = total;
}

/** Whether a backend may get new connections from this pool. */
export function isUsable(pool: Pool, kind: PoolKind, backend: Backend): bool {
  const index = poolIndex(backend, kind);
  return index != 0 && memberAt(pool, index - 1).weight > 0;
}

/** The next usable member behind an index (the index itself last); the pool has at least one. */
export function nextUsable(pool: Pool, index: u32): u32 {
  for (let i: u32 = 1; i <= pool.count; i++) {
    const candidate = (index + i) % pool.count;
    if (memberAt(pool, candidate).weight > 0) return candidate;
  }
  return index;
}

/** A block for the scheduler's index of at least `bytes`, in place of the former; 0 for no room. */
export function renewIndex(pool: Pool, bytes: u32): usize {
  releaseTable(pool.index, pool.indexBytes);
  pool.index = bytes > 0 ? allocateTable(bytes) : 0;
  pool.indexBytes = bytes;
  pool.leaves = 0;
  pool.wholeCosts = false;
  return pool.index;
}
