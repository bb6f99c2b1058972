/** Service ports: what the frontends of one port share: pools, scheduler, affinity. */

import { PoolKind } from "../abi";
import { region } from "../memory";
import { Pool, POOL_SIZE } from "./pools";

/** Ends with its two pools, by PoolKind. */
@unmanaged
export class ServicePort {
  /** Session affinity, ms; 0 for none. */
  affinityMs: u32;
  next: u32;
  scheduler: u8;
  /** {@link SchedulerFlag} bits. */
  flags: u8;
  inUse: bool;
}

const POOLS: usize = (offsetof<ServicePort>() + 7) & ~7;
const SIZE: usize = POOLS + 2 * POOL_SIZE;

let table: usize = 0;
let capacity: u32 = 0;
let used: u32 = 0;
let free: u32 = 0;

export function layoutServicePorts(count: u32): void {
  capacity = count;
  table = region(<usize>(count + 1) * SIZE);
}

// @ts-ignore: decorator
@inline
export function servicePortAt(id: u32): ServicePort {
  return changetype<ServicePort>(table + <usize>id * SIZE);
}

// @ts-ignore: decorator
@inline
export function poolOf(s: ServicePort, kind: PoolKind): Pool {
  return changetype<Pool>(changetype<usize>(s) + POOLS + <usize>kind * POOL_SIZE);
}

/** Adds a Service port without backends, with scheduler rr. Its id, or 0 when full. */
export function addServicePort(): u32 {
  let id = free;
  if (id != 0) free = servicePortAt(id).next;
  else if (used < capacity) id = ++used;
  else return 0;
  const s = servicePortAt(id);
  memory.fill(changetype<usize>(s), 0, SIZE);
  s.inUse = true;
  return id;
}

export function updateServicePort(id: u32, scheduler: u32, flags: u32, affinityMs: u32): void {
  const s = servicePortAt(id);
  s.scheduler = <u8>scheduler;
  s.flags = <u8>flags;
  s.affinityMs = affinityMs;
}

/** Whether there is a Service port of this id. */
export function isServicePort(id: u32): bool {
  return id != 0 && id <= used && servicePortAt(id).inUse;
}

/** Removes a Service port whose lists are empty and whose frontends are gone. */
export function removeServicePort(id: u32): void {
  const s = servicePortAt(id);
  s.inUse = false;
  s.next = free;
  free = id;
}
