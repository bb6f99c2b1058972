/**
 * Connections: a table of entries (entry.ts) that both of their tuples lead to (tuple_index.ts), so a
 * packet of either direction needs one search; which of them it found is the packet's direction.
 *
 * A full table makes room as Linux does: connections that are not assured go first, and above 95 %
 * of the capacity also those that are ending. What goes is counted as early dropped.
 */

import { Counter, TcpState } from "../abi";
import { aheadBy, moveOn } from "../clock";
import { count } from "../counters";
import { loadChanged } from "../schedulers/least";
import { familyOf, hashTuple, Tuple } from "../tuple";
import { backendAt, freeIfIdle } from "./backends";
import { layoutBeginnings, setBeginning } from "./beginnings";
import {
  ACTIVE,
  addressesOf,
  ASSURED,
  BACKEND_BITS,
  backendOf,
  Entry,
  entryAt,
  has,
  idOf,
  IN_USE,
  isV6,
  KIND_TCP,
  KIND_UDP,
  kindOf,
  kindOfTuple,
  layoutEntries,
  leadsTo,
  masqueradeOf,
  ORIGINAL,
  REPLY,
  signatureOf,
  stateOf,
  timeLeft,
  tupleOf,
  udpOf,
} from "./entry";
import { masqueradeAddressAt } from "./masquerade";
import {
  addLink,
  firstLink,
  isUnlinked,
  layoutTupleIndex,
  linkIn,
  nextLink,
  PLACES,
  removeLink,
} from "./tuple_index";

/** What changes with every connection; in memory, where others can see it. */
@unmanaged
class Places {
  /** Places that were ever taken. */
  used: u32;
  /** First of those that were given back. */
  free: u32;
  /** Places that are taken. */
  taken: u32;
  live: u32;
  /** Where expiry goes on. */
  hand: u32;
}

export const PLACES_AT: usize = memory.data(offsetof<Places>(), 8);
export let capacity: u32 = 0;

/** Direction of the entry that {@link find} gave. */
export let direction: u32 = 0;

// @ts-ignore: decorator
@inline
function places(): Places {
  return changetype<Places>(PLACES_AT);
}

/** Lays out for so many places: IPv4 connections take one, IPv6 connections two. */
export function layoutConntrack(entries: u32): void {
  capacity = entries;
  layoutTupleIndex(entries);
  layoutEntries(entries);
  layoutBeginnings(entries);
}

/** Connections there are. */
export function live(): u32 {
  return places().live;
}

/**
 * The entry that has the tuple, and its {@link direction}; the none entry otherwise. One that has
 * run out is deleted on the way.
 */
// @ts-ignore: decorator
@inline
export function find(t: Tuple, hash: u32): Entry {
  return isUnlinked(hash) ? entryAt(0) : findLinked(t, hash);
}

function findLinked(t: Tuple, hash: u32): Entry {
  const kind = kindOfTuple(t);
  for (let link = firstLink(hash); link != 0; link = nextLink()) {
    if (!leadsTo(link, t, kind)) continue;
    const e = entryAt(link >> 1);
    if (timeLeft(e) == 0) {
      remove(e);
      break;
    }
    direction = link & 1;
    return e;
  }
  return entryAt(0);
}

/** The same, beginning with a link that may be the right one: see ahead.ts. */
// @ts-ignore: decorator
@inline
export function findLikely(link: u32, t: Tuple, hash: u32): Entry {
  const e = entryAt(link >> 1);
  if (link != 0 && leadsTo(link, t, kindOfTuple(t)) && timeLeft(e) != 0) {
    direction = link & 1;
    return e;
  }
  return find(t, hash);
}

/** Gives an entry to its backend. */
// @ts-ignore: decorator
@inline
function join(e: Entry): void {
  const id = backendOf(e);
  const b = backendAt(id);
  if ((kindOf(e) & 3) == KIND_UDP) {
    const u = udpOf(e);
    u.before = 0;
    u.after = b.entries;
    if (b.entries != 0) udpOf(entryAt(b.entries)).before = idOf(e);
    b.entries = idOf(e);
  }
  const number = masqueradeOf(e);
  if (number != 0) masqueradeAddressAt(number).users++;
  b.total++;
  if (has(e, ACTIVE)) b.active++;
  b.connections++;
  loadChanged(b);
}

function leave(e: Entry): void {
  const id = backendOf(e);
  const b = backendAt(id);
  if ((kindOf(e) & 3) == KIND_UDP) {
    const u = udpOf(e);
    if (u.before != 0) udpOf(entryAt(u.before)).after = u.after;
    else b.entries = u.after;
    if (u.after != 0) udpOf(entryAt(u.after)).before = u.before;
  }
  const number = masqueradeOf(e);
  if (number != 0) masqueradeAddressAt(number).users--;
  b.total--;
  if (has(e, ACTIVE)) b.active--;
  loadChanged(b);
  freeIfIdle(id);
}

/** Takes a place, all zero. */
// @ts-ignore: decorator
@inline
function takePlace(): u32 {
  const p = places();
  let id = p.free;
  if (id != 0) p.free = entryAt(id).source;
  else id = ++p.used;
  p.taken++;
  const e = entryAt(id);
  const at = changetype<usize>(e);
  v128.store(at, i64x2.splat(0));
  v128.store(at, i64x2.splat(0), 16);
  v128.store(at, i64x2.splat(0), 32);
  return id;
}

function givePlace(id: u32): void {
  const p = places();
  const e = entryAt(id);
  e.owner = 0;
  e.marks = 0;
  e.source = p.free;
  p.free = id;
  p.taken--;
}

/**
 * An entry for a new connection with its original tuple and nothing else, or none when the table is
 * full. It is not in the index yet.
 */
// @ts-ignore: decorator
@inline
export function take(t: Tuple, hash: u32): Entry {
  const v6 = familyOf(t) != 0;
  const need: u32 = v6 ? 2 : 1;
  if (places().taken + need > capacity) {
    if (!evict(hash, need)) return entryAt(0);
  }
  const id = takePlace();
  setBeginning(id);
  const e = entryAt(id);
  e.owner = kindOfTuple(t) << BACKEND_BITS;
  e.ports = t.ports;
  if (!v6) {
    e.source = <u32>(t.sourceLo >> 32);
    e.dest = <u32>(t.destLo >> 32);
    return e;
  }
  e.source = takePlace();
  e.dest = hash;
  const a = addressesOf(e);
  a.sourceHi = t.sourceHi;
  a.sourceLo = t.sourceLo;
  a.destHi = t.destHi;
  a.destLo = t.destLo;
  return e;
}

/** Gives an entry back that {@link take} gave and that was not inserted. */
export function giveBack(e: Entry): void {
  if (isV6(e)) givePlace(e.source);
  givePlace(idOf(e));
}

/** Puts an entry that is complete into the table. */
// @ts-ignore: decorator
@inline
export function insert(e: Entry, originalHash: u32, replyHash: u32): void {
  const id = idOf(e);
  e.marks |= IN_USE;
  addLink(originalHash, id << 1);
  addLink(replyHash, (id << 1) | REPLY);
  join(e);
  places().live++;
  count(Counter.Created);
}

/** Takes an entry out while it moves to another backend: see {@link rejoin}. */
export function detach(e: Entry): void {
  removeLink(hashTuple(tupleOf(e, REPLY)), (idOf(e) << 1) | REPLY);
  leave(e);
}

/** Puts a detached entry back, with a new reply tuple and backend. */
export function rejoin(e: Entry): void {
  addLink(hashTuple(tupleOf(e, REPLY)), (idOf(e) << 1) | REPLY);
  join(e);
}

/** Deletes an entry. */
export function remove(e: Entry): void {
  const id = idOf(e);
  const original = isV6(e) ? e.dest : hashTuple(tupleOf(e, ORIGINAL));
  removeLink(original, id << 1);
  removeLink(hashTuple(tupleOf(e, REPLY)), (id << 1) | REPLY);
  leave(e);
  giveBack(e);
  places().live--;
}

/** Deletes a backend's UDP entries; the others live on until they end or time out. */
export function removeUdpOf(backend: u32): void {
  const b = backendAt(backend);
  while (b.entries != 0) remove(entryAt(b.entries));
}

/** Buckets of the index in which a full table looks for room. */
const EVICTION_BUCKETS: u32 = 8;

/**
 * Makes room for `need` places as Linux does: bucket by bucket from the new connection's own, every
 * entry that is not assured is deleted. False when eight buckets have too few: a flood cannot push
 * out established connections.
 */
function evict(hash: u32, need: u32): bool {
  for (let skip: u32 = 0; skip < EVICTION_BUCKETS; skip++) {
    for (let place: u32 = 0; place < PLACES; place++) {
      const link = linkIn(hash, skip, place);
      if (link == 0) continue;
      const e = entryAt(link >> 1);
      if (has(e, ASSURED) && timeLeft(e) != 0) continue;
      remove(e);
      count(Counter.EarlyDropped);
    }
    if (places().taken + need <= capacity) return true;
  }
  return false;
}

/**
 * Whether a nearly full table may lose this entry: not assured, or a TCP connection that is
 * ending.
 */
function isDispensable(e: Entry): bool {
  if (!has(e, ASSURED)) return true;
  const state = <i32>stateOf(e);
  return (kindOf(e) & 3) == KIND_TCP && state >= TcpState.FinWait && state <= TcpState.Close;
}

/**
 * Looks at the next `budget` places and deletes the entries that have run out; above 95 % of the
 * capacity also those that are dispensable.
 */
export function expireEntries(budget: u32): void {
  const p = places();
  if (p.used == 0) return;
  const limit = <u32>(<u64>capacity * 95 / 100);
  for (let i = min<u32>(budget, p.used); i > 0; i--) {
    p.hand = p.hand % p.used + 1;
    const e = entryAt(p.hand);
    if (!has(e, IN_USE)) continue;
    if (timeLeft(e) == 0) remove(e);
    else if (p.taken > limit && isDispensable(e)) {
      remove(e);
      count(Counter.EarlyDropped);
    }
  }
}

/** Entries have the low word of times only, so none may stay for long when it has run out. */
const LEAP: u64 = 86400 * 1000;

/**
 * Takes over the host's time. When it leaps by a day, all that runs out in between is deleted;
 * otherwise {@link expireEntries} has to come to every place once in a day.
 */
export function setNow(ms: f64): void {
  const ahead = aheadBy(ms);
  if (ahead > LEAP) {
    for (let id: u32 = 1; id <= places().used; id++) {
      const e = entryAt(id);
      if (has(e, IN_USE) && timeLeft(e) <= ahead) remove(e);
    }
  }
  moveOn(ahead);
}

/** The id of the first entry in use behind `id`, or 0. */
export function nextEntry(id: u32): u32 {
  while (id < places().used) {
    const e = entryAt(++id);
    if (has(e, IN_USE) && timeLeft(e) != 0) return id;
  }
  return 0;
}

/** Whether the place holds an entry that translates as the one of that signature did. */
export function isSame(id: u32, signature: u64): bool {
  if (id == 0 || id > places().used) return false;
  const e = entryAt(id);
  return has(e, IN_USE) && timeLeft(e) != 0 && signatureOf(e) == signature;
}
