/**
 * Backends: endpoints as one Service port uses them, with their counters and the connections and
 * affinities that they have. A removed backend stays until its last connection ends and no scheduler's
 * cache knows it.
 */

import { BackendRecord, PoolKind } from "../abi";
import { region } from "../memory";

/** Not in use. */
const FREE: u8 = 0;
/** In the plan. */
export const LIVE: u8 = 1;
/** Out of the plan, with connections left or known to a cache. */
export const LEAVING: u8 = 2;

@unmanaged
export class Backend {
  addressHi: u64;
  addressLo: u64;
  packets: u64;
  bytes: u64;
  /** Network order. */
  port: u16;
  family: u8;
  state: u8;
  servicePort: u32;
  /** Its connections, as conntrack holds them. */
  total: u32;
  /** Those of them that IPVS calls active. */
  active: u32;
  /** Index + 1 in the pools, by PoolKind. */
  inCluster: u32;
  inLocal: u32;
  /** All that it ever had. */
  connections: u64;
  /** Caches of schedulers that know it. */
  holds: u32;
  /** As in its pools; of a removed one, the last. */
  weight: u32;
  /** Used while a pool is replaced, 0 otherwise. */
  mark: u32;
  /** First of its UDP connections (entry id) and affinities (id). */
  entries: u32;
  affinities: u32;
  /** Counts the uses of this place, so that an old id is known as such. */
  generation: u32;
}

/** Two cache lines: the first has what packets and new connections need. */
const SIZE: usize = 128;

let table: usize = 0;
let capacity: u32 = 0;
let used: u32 = 0;
let free: u32 = 0;

export function layoutBackends(count: u32): void {
  capacity = count;
  table = region(<usize>(count + 1) * SIZE);
}

// @ts-ignore: decorator
@inline
export function backendAt(id: u32): Backend {
  return changetype<Backend>(table + <usize>id * SIZE);
}

// @ts-ignore: decorator
@inline
export function poolIndex(b: Backend, kind: PoolKind): u32 {
  return kind == PoolKind.Cluster ? b.inCluster : b.inLocal;
}

// @ts-ignore: decorator
@inline
export function setPoolIndex(b: Backend, kind: PoolKind, index: u32): void {
  if (kind == PoolKind.Cluster) b.inCluster = index;
  else b.inLocal = index;
}

/** Adds a backend; the address is at `address`, the port in host order. Its id, or 0 when full. */
export function addBackend(servicePort: u32, address: usize, port: u32, family: u32): u32 {
  let id = free;
  if (id != 0) free = backendAt(id).entries;
  else if (used < capacity) id = ++used;
  else return 0;
  const b = backendAt(id);
  const generation = b.generation + 1;
  memory.fill(changetype<usize>(b), 0, SIZE);
  b.generation = generation;
  b.addressHi = load<u64>(address);
  b.addressLo = load<u64>(address, 8);
  b.port = bswap<u16>(<u16>port);
  b.family = <u8>family;
  b.servicePort = servicePort;
  b.state = LIVE;
  return id;
}

/** Takes a backend out of the plan; its pools must have been replaced before. */
export function retireBackend(id: u32): void {
  const b = backendAt(id);
  b.state = LEAVING;
  b.servicePort = 0;
  freeIfIdle(id);
}

/** Whether a removed backend is still there; `generation` is that of its removal. */
export function isLeaving(id: u32, generation: u32): bool {
  if (id == 0 || id > used) return false;
  const b = backendAt(id);
  return b.state == LEAVING && b.generation == generation;
}

/** Puts a leaving backend back, with its counters; false when it is gone. */
export function reviveBackend(id: u32, generation: u32, servicePort: u32): bool {
  if (!isLeaving(id, generation)) return false;
  const b = backendAt(id);
  b.state = LIVE;
  b.servicePort = servicePort;
  return true;
}

/** Remembers that a cache knows the backend: removed, it can be put back as long as one does. */
export function hold(id: u32): void {
  backendAt(id).holds++;
}

export function letGo(id: u32): void {
  backendAt(id).holds--;
  freeIfIdle(id);
}

/** Frees a leaving backend that has no connections any more and that no cache knows. */
export function freeIfIdle(id: u32): void {
  const b = backendAt(id);
  if (b.state != LEAVING || b.total != 0 || b.holds != 0) return;
  b.state = FREE;
  b.entries = free;
  free = id;
}

/** Writes a BackendRecord; false when there is no such backend. */
export function describeBackend(id: u32, to: usize): bool {
  if (id == 0 || id > used) return false;
  const b = backendAt(id);
  store<u64>(to, b.connections, BackendRecord.Connections);
  store<u64>(to, b.packets, BackendRecord.Packets);
  store<u64>(to, b.bytes, BackendRecord.Bytes);
  store<u32>(to, b.total, BackendRecord.Active);
  return b.state != FREE;
}
