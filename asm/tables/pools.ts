/** Pools: the lists of backends of a Service port, replaced as a whole and picked from. */

import { PoolKind, PoolRecord } from "../abi";
import { allocate, release } from "../arena";
import { Backend, backendAt, poolIndex, setPoolIndex } from "./backends";

@unmanaged
export class Pool {
  items: usize;
  count: u32;
  /** Backends with weight above 0. */
  usable: u32;
  /** Where round robin goes on: an index. */
  cursor: u32;
  totalWeight: u64;
}

/** Bytes that a pool takes in its Service port. */
export const POOL_SIZE: usize = (offsetof<Pool>() + 7) & ~7;

/** One place in a pool. */
@unmanaged
export class Member {
  backend: u32;
  weight: u32;
  /** Sum of the weights up to and with this one. */
  cumulative: u64;
}

const MEMBER_SIZE: u32 = <u32>offsetof<Member>();

// @ts-ignore: decorator
@inline
export function memberAt(pool: Pool, index: u32): Member {
  return changetype<Member>(pool.items + <usize>index * MEMBER_SIZE);
}

/**
 * Replaces a pool by `count` PoolRecords at `from`. Round robin goes on at the first backend, from
 * where it stood, that is still in the pool. False when memory is short: the pool is unchanged.
 */
export function setPool(pool: Pool, kind: PoolKind, from: usize, count: u32): bool {
  let items: usize = 0;
  if (count > 0) {
    items = allocate(count * MEMBER_SIZE);
    if (items == 0) return false;
  }
  for (let i: u32 = 0; i < pool.count; i++) {
    setPoolIndex(backendAt(memberAt(pool, i).backend), kind, 0);
  }
  let total: u64 = 0;
  let usable: u32 = 0;
  for (let i: u32 = 0; i < count; i++) {
    const record = from + <usize>i * PoolRecord.Size;
    const id = load<u32>(record, PoolRecord.Backend);
    const weight = load<u32>(record, PoolRecord.Weight);
    total += weight;
    if (weight > 0) usable++;
    const member = changetype<Member>(items + <usize>i * MEMBER_SIZE);
    member.backend = id;
    member.weight = weight;
    member.cumulative = total;
    setPoolIndex(backendAt(id), kind, i + 1);
  }
  let cursor: u32 = 0;
  for (let i: u32 = 0; i < pool.count; i++) {
    const old = memberAt(pool, (pool.cursor + i) % pool.count);
    const index = poolIndex(backendAt(old.backend), kind);
    if (index != 0) {
      cursor = index - 1;
      break;
    }
  }
  release(pool.items, pool.count * MEMBER_SIZE);
  pool.items = items;
  pool.count = count;
  pool.usable = usable;
  pool.cursor = cursor;
  pool.totalWeight = total;
  return true;
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
