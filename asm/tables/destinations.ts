/**
 * Destinations: what lblc and lblcr remember: per pool and destination address a set of backends,
 * newest first. A backend in a set is held, so that one that is removed and comes back is the same.
 */

import { now } from "../clock";
import { region } from "../memory";
import { hashAddress } from "../tuple";
import { hold, letGo } from "./backends";
import { Pool } from "./pools";

@unmanaged
export class Destination {
  hi: u64;
  lo: u64;
  usedAt: u64;
  /** When the set last changed. */
  changedAt: u64;
  pool: usize;
  /** Its set: first place and length. */
  first: u32;
  size: u32;
  /** Next in the bucket or in the free list. */
  next: u32;
  inUse: bool;
}

@unmanaged
export class Place {
  backend: u32;
  /** Next in the set or in the free list. */
  next: u32;
}

const SIZE: usize = (offsetof<Destination>() + 7) & ~7;
const PLACE_SIZE: usize = offsetof<Place>();
const BUCKETS: u32 = 16384;
/** As many as Linux allows a Service; here for all Services together. */
const CAPACITY: u32 = 16384;
const PLACES: u32 = 4 * CAPACITY;
/** How long a destination is remembered that nobody asks for, ms: Linux's default. */
export const EXPIRATION: u64 = 86400 * 1000;

let heads: usize = 0;
let table: usize = 0;
let used: u32 = 0;
let free: u32 = 0;
let hand: u32 = 0;
let places: usize = 0;
let usedPlaces: u32 = 0;
let freePlaces: u32 = 0;

export function layoutDestinations(): void {
  heads = region(BUCKETS * 4);
  table = region(<usize>(CAPACITY + 1) * SIZE);
  places = region(<usize>(PLACES + 1) * PLACE_SIZE);
}

// @ts-ignore: decorator
@inline
function at(id: u32): Destination {
  return changetype<Destination>(table + <usize>id * SIZE);
}

// @ts-ignore: decorator
@inline
export function placeAt(id: u32): Place {
  return changetype<Place>(places + <usize>id * PLACE_SIZE);
}

function headOf(pool: usize, hi: u64, lo: u64): usize {
  return heads + (<usize>(hashAddress(hi, lo, <u64>pool) & (BUCKETS - 1)) << 2);
}

/** What the pool remembers of an address, or null. */
export function findDestination(pool: Pool, hi: u64, lo: u64): Destination | null {
  const key = changetype<usize>(pool);
  let id = load<u32>(headOf(key, hi, lo));
  while (id != 0) {
    const d = at(id);
    if (d.lo == lo && d.hi == hi && d.pool == key) return d;
    id = d.next;
  }
  return null;
}

/** Begins to remember an address, with an empty set; null when the table is full. */
export function addDestination(pool: Pool, hi: u64, lo: u64): Destination | null {
  let id = free;
  if (id != 0) free = at(id).next;
  else if (used < CAPACITY) id = ++used;
  else return null;
  const d = at(id);
  d.hi = hi;
  d.lo = lo;
  d.usedAt = now;
  d.changedAt = now;
  d.pool = changetype<usize>(pool);
  d.first = 0;
  d.size = 0;
  d.inUse = true;
  const head = headOf(d.pool, hi, lo);
  d.next = load<u32>(head);
  store<u32>(head, id);
  pool.destinations++;
  return d;
}

/** Puts a backend at the front of a set; without room it is not remembered. */
export function addToSet(d: Destination, backend: u32): void {
  let id = freePlaces;
  if (id != 0) freePlaces = placeAt(id).next;
  else if (usedPlaces < PLACES) id = ++usedPlaces;
  else return;
  const place = placeAt(id);
  place.backend = backend;
  place.next = d.first;
  d.first = id;
  d.size++;
  d.changedAt = now;
  hold(backend);
}

export function isInSet(d: Destination, backend: u32): bool {
  for (let id = d.first; id != 0; id = placeAt(id).next) {
    if (placeAt(id).backend == backend) return true;
  }
  return false;
}

/** Takes a backend out of a set that has it. */
export function removeFromSet(d: Destination, backend: u32): void {
  let link = changetype<usize>(d) + offsetof<Destination>("first");
  while (placeAt(load<u32>(link)).backend != backend) {
    link = changetype<usize>(placeAt(load<u32>(link))) + offsetof<Place>("next");
  }
  const id = load<u32>(link);
  store<u32>(link, placeAt(id).next);
  placeAt(id).next = freePlaces;
  freePlaces = id;
  d.size--;
  d.changedAt = now;
  letGo(backend);
}

export function clearSet(d: Destination): void {
  while (d.first != 0) removeFromSet(d, placeAt(d.first).backend);
}

function remove(id: u32): void {
  const d = at(id);
  clearSet(d);
  let link = headOf(d.pool, d.hi, d.lo);
  while (load<u32>(link) != id) {
    link = changetype<usize>(at(load<u32>(link))) + offsetof<Destination>("next");
  }
  store<u32>(link, d.next);
  changetype<Pool>(d.pool).destinations--;
  d.inUse = false;
  d.next = free;
  free = id;
}

/** Forgets all destinations of a pool. */
export function forgetDestinations(pool: Pool): void {
  for (let id: u32 = 1; id <= used && pool.destinations > 0; id++) {
    if (at(id).inUse && at(id).pool == changetype<usize>(pool)) remove(id);
  }
}

/** Looks at the next `budget` destinations for those that nobody has asked for in a day. */
export function expireDestinations(budget: u32): void {
  for (let i = min<u32>(budget, used); i > 0; i--) {
    hand = hand % used + 1;
    if (at(hand).inUse && now - at(hand).usedAt > EXPIRATION) remove(hand);
  }
}
