/** Frontends: the addresses and ports that clients dial, in a hash table. */

import { FrontendRecord, NetworkList, NetworkRecord } from "../abi";
import { allocate, release } from "../arena";
import { powerOfTwo, region } from "../memory";
import { hashAddress, Tuple } from "../tuple";
import { anyContains, listContains } from "./networks";

@unmanaged
export class Frontend {
  addressHi: u64;
  addressLo: u64;
  /** Port (network order) | protocol << 16 | family << 24. */
  key: u32;
  /** Id of the next in the bucket, or in the free list. */
  next: u32;
  /** Id. */
  servicePort: u32;
  ranges: usize;
  /** Number of source ranges; {@link UNRESTRICTED} for all sources. */
  rangeCount: u32;
  /** RouteBits by class of source. */
  route0: u8;
  route1: u8;
  route2: u8;
  kind: u8;
  /** Token bucket of the resets sent for it. */
  resetTokens: u32;
  resetFilledAt: u64;
}

/** A cache line. */
const SIZE: usize = 64;
const UNRESTRICTED: u32 = 0xffffffff;

let table: usize = 0;
export let heads: usize = 0;
export let mask: u32 = 0;
let capacity: u32 = 0;
let used: u32 = 0;
let free: u32 = 0;

export function layoutFrontends(count: u32): void {
  capacity = count;
  const buckets = powerOfTwo(count * 2);
  mask = buckets - 1;
  heads = region(<usize>buckets << 2);
  table = region(<usize>(count + 1) * SIZE);
}

// @ts-ignore: decorator
@inline
export function frontendAt(id: u32): Frontend {
  return changetype<Frontend>(table + <usize>id * SIZE);
}

// @ts-ignore: decorator
@inline
function headOf(hi: u64, lo: u64, key: u32): usize {
  return heads + (<usize>(hashAddress(hi, lo, key) & mask) << 2);
}

// @ts-ignore: decorator
@inline
function find(hi: u64, lo: u64, key: u32): u32 {
  return findBehind(load<u32>(headOf(hi, lo, key)), hi, lo, key);
}

function findBehind(id: u32, hi: u64, lo: u64, key: u32): u32 {
  while (id != 0) {
    const f = frontendAt(id);
    if (f.addressLo == lo && f.addressHi == hi && f.key == key) return id;
    id = f.next;
  }
  return 0;
}

/** Key of the frontend at the destination. */
// @ts-ignore: decorator
@inline
function destinationKey(t: Tuple): u32 {
  return (t.ports >> 16) | (t.meta << 16);
}

// @ts-ignore: decorator
@inline
function sourceKey(t: Tuple): u32 {
  return (t.ports & 0xffff) | (t.meta << 16);
}

/** Where the search for the frontend at the destination begins: the first id. */
// @ts-ignore: decorator
@inline
export function headOfDestination(t: Tuple): usize {
  return headOf(t.destHi, t.destLo, destinationKey(t));
}

/** The same for {@link sourceIsFrontend}. */
// @ts-ignore: decorator
@inline
export function headOfSource(t: Tuple): usize {
  return headOf(t.sourceHi, t.sourceLo, sourceKey(t));
}

/**
 * Id of the frontend at the destination, or 0. One that has the address for itself comes before a
 * node port, which is on all of the node's addresses for node ports.
 */
// @ts-ignore: decorator
@inline
export function findFrontend(t: Tuple): u32 {
  return findFrontendBehind(load<u32>(headOfDestination(t)), t);
}

/** The same from the first id on. */
// @ts-ignore: decorator
@inline
export function findFrontendBehind(first: u32, t: Tuple): u32 {
  const f = frontendAt(first);
  const key = destinationKey(t);
  // Mostly it is the first one, which needs no call.
  const right = first != 0 && f.addressLo == t.destLo && f.addressHi == t.destHi && f.key == key;
  return right ? first : findFurther(first, t);
}

function findFurther(first: u32, t: Tuple): u32 {
  const key = destinationKey(t);
  const id = findBehind(first, t.destHi, t.destLo, key);
  if (id != 0) return id;
  const nodePort = find(0, 0, key);
  if (nodePort == 0 || !listContains(NetworkList.NodePorts, t.destHi, t.destLo)) return 0;
  return nodePort;
}

/** Whether the source of a packet is itself a frontend (node ports left aside). */
// @ts-ignore: decorator
@inline
export function sourceIsFrontend(t: Tuple): bool {
  const first = load<u32>(headOfSource(t));
  return first != 0 && findBehind(first, t.sourceHi, t.sourceLo, sourceKey(t)) != 0;
}

/** The route of a class of sources, as RouteBits. */
// @ts-ignore: decorator
@inline
export function routeOf(f: Frontend, sourceClass: u32): u32 {
  return <u32>load<u8>(changetype<usize>(f) + offsetof<Frontend>("route0") + sourceClass);
}

/** Whether the frontend's source ranges admit the address. */
export function admits(f: Frontend, hi: u64, lo: u64): bool {
  return f.rangeCount == UNRESTRICTED || anyContains(f.ranges, f.rangeCount, hi, lo);
}

/**
 * Adds a frontend from a FrontendRecord, or replaces the one with its key. Returns its id, 0 when
 * the table is full.
 */
export function putFrontend(record: usize): u32 {
  const hi = load<u64>(record, FrontendRecord.Address);
  const lo = load<u64>(record, FrontendRecord.Address + 8);
  const key = <u32>bswap<u16>(load<u16>(record, FrontendRecord.Port)) |
    (<u32>load<u8>(record, FrontendRecord.Protocol) << 16) |
    (<u32>load<u8>(record, FrontendRecord.Family) << 24);
  const rangeCount = load<u32>(record, FrontendRecord.RangeCount);
  let ranges: usize = 0;
  if (rangeCount != UNRESTRICTED && rangeCount > 0) {
    const bytes = rangeCount * NetworkRecord.Size;
    ranges = allocate(bytes);
    if (ranges == 0) return 0;
    memory.copy(ranges, record + FrontendRecord.Ranges, bytes);
  }
  let id = find(hi, lo, key);
  if (id == 0) {
    id = insert(hi, lo, key);
    if (id == 0) {
      releaseRanges(ranges, rangeCount);
      return 0;
    }
  } else {
    const old = frontendAt(id);
    releaseRanges(old.ranges, old.rangeCount);
  }
  const f = frontendAt(id);
  f.ranges = ranges;
  f.rangeCount = rangeCount;
  f.route0 = load<u8>(record, FrontendRecord.Routes);
  f.route1 = load<u8>(record, FrontendRecord.Routes + 1);
  f.route2 = load<u8>(record, FrontendRecord.Routes + 2);
  f.kind = load<u8>(record, FrontendRecord.Kind);
  f.servicePort = load<u32>(record, FrontendRecord.ServicePort);
  return id;
}

function insert(hi: u64, lo: u64, key: u32): u32 {
  let id = free;
  if (id != 0) free = frontendAt(id).next;
  else if (used < capacity) id = ++used;
  else return 0;
  const f = frontendAt(id);
  memory.fill(changetype<usize>(f), 0, SIZE);
  f.addressHi = hi;
  f.addressLo = lo;
  f.key = key;
  const head = headOf(hi, lo, key);
  f.next = load<u32>(head);
  store<u32>(head, id);
  return id;
}

function releaseRanges(ranges: usize, rangeCount: u32): void {
  if (ranges != 0) release(ranges, rangeCount * NetworkRecord.Size);
}

/** Removes a frontend that {@link putFrontend} gave. */
export function removeFrontend(id: u32): void {
  if (id == 0 || id > used) return;
  const f = frontendAt(id);
  let link = headOf(f.addressHi, f.addressLo, f.key);
  while (load<u32>(link) != id) {
    const other = load<u32>(link);
    if (other == 0) return;
    link = changetype<usize>(frontendAt(other)) + offsetof<Frontend>("next");
  }
  store<u32>(link, f.next);
  releaseRanges(f.ranges, f.rangeCount);
  f.ranges = 0;
  f.next = free;
  free = id;
}
