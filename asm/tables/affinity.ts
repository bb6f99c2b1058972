/**
 * Session affinity: the backend that a client address was given, per Service port, until the
 * client has made no new connection for the port's timeout.
 */

import { Counter } from "../abi";
import { now } from "../clock";
import { count } from "../counters";
import { powerOfTwo, region } from "../memory";
import { hashAddress } from "../tuple";
import { backendAt } from "./backends";

@unmanaged
class Affinity {
  clientHi: u64;
  clientLo: u64;
  expiresAt: u64;
  servicePort: u32;
  /** 0 when the place is free. */
  backend: u32;
  /** Next in the bucket or in the free list. */
  next: u32;
  /** The backend's other affinities. */
  before: u32;
  after: u32;
}

const SIZE: usize = (offsetof<Affinity>() + 7) & ~7;

let table: usize = 0;
let heads: usize = 0;
let mask: u32 = 0;
let capacity: u32 = 0;
let used: u32 = 0;
let free: u32 = 0;
/** Where the search for a place goes on when the table is full, and where expiry does. */
let hand: u32 = 0;

export function layoutAffinity(entries: u32): void {
  capacity = entries;
  const buckets = powerOfTwo(entries);
  mask = buckets - 1;
  heads = region(<usize>buckets << 2);
  table = region(<usize>(entries + 1) * SIZE);
}

// @ts-ignore: decorator
@inline
function at(id: u32): Affinity {
  return changetype<Affinity>(table + <usize>id * SIZE);
}

// @ts-ignore: decorator
@inline
function headOf(servicePort: u32, hi: u64, lo: u64): usize {
  return heads + (<usize>(hashAddress(hi, lo, servicePort) & mask) << 2);
}

function find(servicePort: u32, hi: u64, lo: u64): u32 {
  let id = load<u32>(headOf(servicePort, hi, lo));
  while (id != 0) {
    const a = at(id);
    if (a.clientLo == lo && a.clientHi == hi && a.servicePort == servicePort) return id;
    id = a.next;
  }
  return 0;
}

/** The client's backend (id), or 0. */
export function affinityBackend(servicePort: u32, hi: u64, lo: u64): u32 {
  const id = find(servicePort, hi, lo);
  return id != 0 && at(id).expiresAt > now ? at(id).backend : 0;
}

/** Milliseconds that the client's affinity still holds. */
export function affinityLeft(servicePort: u32, hi: u64, lo: u64): u64 {
  const id = find(servicePort, hi, lo);
  return id != 0 && at(id).expiresAt > now ? at(id).expiresAt - now : 0;
}

function link(id: u32, backend: u32): void {
  const a = at(id);
  const b = backendAt(backend);
  a.backend = backend;
  a.before = 0;
  a.after = b.affinities;
  if (b.affinities != 0) at(b.affinities).before = id;
  b.affinities = id;
}

function unlink(id: u32): void {
  const a = at(id);
  if (a.before != 0) at(a.before).after = a.after;
  else backendAt(a.backend).affinities = a.after;
  if (a.after != 0) at(a.after).before = a.before;
}

function remove(id: u32): void {
  const a = at(id);
  unlink(id);
  let place = headOf(a.servicePort, a.clientHi, a.clientLo);
  while (load<u32>(place) != id) {
    place = changetype<usize>(at(load<u32>(place))) + offsetof<Affinity>("next");
  }
  store<u32>(place, a.next);
  a.backend = 0;
  a.next = free;
  free = id;
}

/** A free place. In a full table the one under the hand, oldest or not, makes room. */
function take(): u32 {
  if (free == 0) {
    if (used < capacity) return ++used;
    if (used == 0) return 0;
    let victim = hand % used + 1;
    for (let i: u32 = 0; i < 8; i++) {
      const candidate = (hand + i) % used + 1;
      if (at(candidate).expiresAt <= now) {
        victim = candidate;
        break;
      }
    }
    hand = victim;
    if (at(victim).expiresAt > now) count(Counter.AffinityEvicted);
    remove(victim);
  }
  const id = free;
  free = at(id).next;
  return id;
}

/** Gives a client a backend for `timeoutMs` from now. */
export function setAffinity(
  servicePort: u32,
  hi: u64,
  lo: u64,
  backend: u32,
  timeoutMs: u32,
): void {
  let id = find(servicePort, hi, lo);
  if (id == 0) {
    id = take();
    if (id == 0) return;
    const a = at(id);
    a.clientHi = hi;
    a.clientLo = lo;
    a.servicePort = servicePort;
    const head = headOf(servicePort, hi, lo);
    a.next = load<u32>(head);
    store<u32>(head, id);
    link(id, backend);
  } else if (at(id).backend != backend) {
    unlink(id);
    link(id, backend);
  }
  at(id).expiresAt = now + timeoutMs;
}

/** Forgets all clients of a backend. */
export function dropAffinities(backend: u32): void {
  for (let id = backendAt(backend).affinities; id != 0; id = backendAt(backend).affinities) {
    remove(id);
  }
}

/** Looks at the next `budget` places for affinities that have run out. */
export function expireAffinities(budget: u32): void {
  if (used == 0) return;
  for (let i = min<u32>(budget, used); i > 0; i--) {
    hand = hand % used + 1;
    if (at(hand).backend != 0 && at(hand).expiresAt <= now) remove(hand);
  }
}
