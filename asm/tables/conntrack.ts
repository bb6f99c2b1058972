/**
 * Connections. One entry holds both tuples and is in the hash table twice, so a packet of either
 * direction needs one lookup; which of the tuples matched is the packet's direction.
 */

import { Counter, IpProtocol, TcpState } from "../abi";
import { now } from "../clock";
import { count } from "../counters";
import { powerOfTwo, region } from "../memory";
import { loadChanged } from "../schedulers/least";
import { equal, protocolOf, Tuple, TUPLE_SIZE } from "../tuple";
import { backendAt, freeIfIdle } from "./backends";

/** Directions. */
export const ORIGINAL: u32 = 0;
export const REPLY: u32 = 1;

/** Bits of {@link Entry.status}. */
export const SEEN_REPLY: u8 = 1;
export const ASSURED: u8 = 2;
/** The source is rewritten too. */
export const MASQUERADED: u8 = 4;
const IN_USE: u8 = 8;

/** Begins with its two tuples, original first. */
@unmanaged
export class Entry {
  o0: u64;
  o1: u64;
  o2: u64;
  o3: u64;
  o4: u64;
  r0: u64;
  r1: u64;
  r2: u64;
  r3: u64;
  r4: u64;
  expiresAt: u64;
  /** UDP: from when on it counts as a stream. */
  streamAt: u64;
  /** Next links in the two buckets, see {@link linkOf}. */
  next0: u32;
  next1: u32;
  bucket0: u32;
  bucket1: u32;
  /** Id. */
  backend: u32;
  /** The backend's other entries, ids. */
  before: u32;
  after: u32;
  /** TCP, per direction: behind the highest byte sent, highest acknowledgment sent. */
  end0: u32;
  end1: u32;
  maxAck0: u32;
  maxAck1: u32;
  /** TCP: of the last segment that counted; SCTP: the verification tags in the first two. */
  lastSeq: u32;
  lastAck: u32;
  lastEnd: u32;
  lastWindow: u16;
  /** Checksum differences of the original direction: addresses, ports. */
  addressDelta: u16;
  portDelta: u16;
  /** Backends that have been tried. */
  tries: u16;
  state: u8;
  status: u8;
  lastClass: u8;
  lastDirection: u8;
  /** TCP flags per direction and of the last SYN. */
  flags0: u8;
  flags1: u8;
  lastFlags: u8;
  retransmissions: u8;
  /** PoolKind that the backend was picked from. */
  pool: u8;
  /** TCP: the state that IPVS would have, see ipvs_state.ts. */
  ipvsState: u8;
  /** Whether it counts as active. */
  active: bool;
  /** Counts the uses of this place. */
  generation: u32;
  /** Kept SYN, id. */
  kept: u32;
}

/** A whole number of cache lines. */
const SIZE: usize = (offsetof<Entry>() + 63) & ~63;

let table: usize = 0;
let heads: usize = 0;
let mask: u32 = 0;
export let capacity: u32 = 0;
let used: u32 = 0;
let free: u32 = 0;
/** Entries in use. */
export let live: u32 = 0;
let hand: u32 = 0;

/** Direction of the entry that {@link find} gave. */
export let direction: u32 = 0;

export function layoutConntrack(entries: u32): void {
  capacity = entries;
  const buckets = powerOfTwo(entries * 2);
  mask = buckets - 1;
  heads = region(<usize>buckets << 2);
  table = region(<usize>(entries + 1) * SIZE);
}

// @ts-ignore: decorator
@inline
export function entryAt(id: u32): Entry {
  return changetype<Entry>(table + <usize>id * SIZE);
}

// @ts-ignore: decorator
@inline
export function idOf(e: Entry): u32 {
  return <u32>((changetype<usize>(e) - table) / SIZE);
}

// @ts-ignore: decorator
@inline
export function isNone(e: Entry): bool {
  return changetype<usize>(e) == table;
}

// @ts-ignore: decorator
@inline
export function tupleOf(e: Entry, direction: u32): Tuple {
  return changetype<Tuple>(changetype<usize>(e) + <usize>direction * TUPLE_SIZE);
}

/** The status of an entry, as a mask test. */
// @ts-ignore: decorator
@inline
export function has(e: Entry, status: u8): bool {
  return (e.status & status) != 0;
}

/** An entry's place in a chain: its id and which of its tuples; 0 ends the chain. */
// @ts-ignore: decorator
@inline
function linkOf(id: u32, direction: u32): u32 {
  return (id << 1) | direction;
}

/** Where the link behind an entry is kept. */
// @ts-ignore: decorator
@inline
function nextOf(link: u32): usize {
  return changetype<usize>(entryAt(link >> 1)) + offsetof<Entry>("next0") +
    (<usize>(link & 1) << 2);
}

/** Address of the bucket of a hash, to be touched ahead. */
// @ts-ignore: decorator
@inline
export function bucketAt(hash: u32): usize {
  return heads + (<usize>(hash & mask) << 2);
}

/**
 * The entry that has the tuple, and its {@link direction}; the none entry otherwise. One that has
 * run out is deleted on the way.
 */
export function find(t: Tuple, hash: u32): Entry {
  let link = load<u32>(bucketAt(hash));
  while (link != 0) {
    const e = entryAt(link >> 1);
    if (equal(tupleOf(e, link & 1), t)) {
      if (e.expiresAt <= now) {
        remove(e);
        break;
      }
      direction = link & 1;
      return e;
    }
    link = load<u32>(nextOf(link));
  }
  return entryAt(0);
}

function chain(e: Entry, direction: u32, hash: u32): void {
  const bucket = hash & mask;
  const head = heads + (<usize>bucket << 2);
  const link = linkOf(idOf(e), direction);
  store<u32>(nextOf(link), load<u32>(head));
  store<u32>(head, link);
  if (direction == ORIGINAL) e.bucket0 = bucket;
  else e.bucket1 = bucket;
}

function unchain(e: Entry, direction: u32): void {
  const link = linkOf(idOf(e), direction);
  let place = heads + (<usize>(direction == ORIGINAL ? e.bucket0 : e.bucket1) << 2);
  while (load<u32>(place) != link) place = nextOf(load<u32>(place));
  store<u32>(place, load<u32>(nextOf(link)));
}

/** Gives an entry to its backend. */
function join(e: Entry): void {
  const b = backendAt(e.backend);
  e.before = 0;
  e.after = b.entries;
  if (b.entries != 0) entryAt(b.entries).before = idOf(e);
  b.entries = idOf(e);
  b.total++;
  if (e.active) b.active++;
  b.connections++;
  loadChanged(b);
}

function leave(e: Entry): void {
  const b = backendAt(e.backend);
  if (e.before != 0) entryAt(e.before).after = e.after;
  else b.entries = e.after;
  if (e.after != 0) entryAt(e.after).before = e.before;
  b.total--;
  if (e.active) b.active--;
  loadChanged(b);
  freeIfIdle(e.backend);
}

/** An unused entry, all zero, or none when the table is full. It is not in the table yet. */
export function take(hash: u32): Entry {
  if (free == 0 && used == capacity && !evict(hash)) return entryAt(0);
  let id = free;
  if (id != 0) free = entryAt(id).next0;
  else id = ++used;
  const e = entryAt(id);
  const generation = e.generation + 1;
  memory.fill(changetype<usize>(e), 0, SIZE);
  e.generation = generation;
  return e;
}

/** Gives an entry back that {@link take} gave and that was not inserted. */
export function giveBack(e: Entry): void {
  e.next0 = free;
  free = idOf(e);
}

/** Puts an entry whose tuples, backend and state are complete into the table. */
export function insert(e: Entry, originalHash: u32, replyHash: u32): void {
  e.status |= IN_USE;
  chain(e, ORIGINAL, originalHash);
  chain(e, REPLY, replyHash);
  join(e);
  live++;
  count(Counter.Created);
}

/** Takes an entry out while it moves to another backend: see {@link rejoin}. */
export function detach(e: Entry): void {
  unchain(e, REPLY);
  leave(e);
}

/** Puts a detached entry back, with a new reply tuple and backend. */
export function rejoin(e: Entry, replyHash: u32): void {
  chain(e, REPLY, replyHash);
  join(e);
}

/** Deletes an entry. */
export function remove(e: Entry): void {
  unchain(e, ORIGINAL);
  unchain(e, REPLY);
  leave(e);
  e.status = 0;
  e.next0 = free;
  free = idOf(e);
  live--;
}

/** Deletes a backend's UDP entries; the others live on until they end or time out. */
export function removeUdpOf(backend: u32): void {
  let id = backendAt(backend).entries;
  while (id != 0) {
    const e = entryAt(id);
    id = e.after;
    if (protocolOf(tupleOf(e, ORIGINAL)) == IpProtocol.Udp) remove(e);
  }
}

const EVICTION_BUCKETS: u32 = 8;

/**
 * Makes room as Linux does: in eight buckets from the new connection's own, every entry that is not
 * assured is deleted. False when there was none: a flood cannot push out established connections.
 */
function evict(hash: u32): bool {
  const before = live;
  for (let i: u32 = 0; i < EVICTION_BUCKETS; i++) {
    let link = load<u32>(bucketAt(hash + i));
    while (link != 0) {
      const e = entryAt(link >> 1);
      if (!has(e, ASSURED) || e.expiresAt <= now) {
        remove(e);
        count(Counter.EarlyDropped);
        // The other tuple may have been in this chain too: begin again.
        link = load<u32>(bucketAt(hash + i));
      } else link = load<u32>(nextOf(link));
    }
  }
  return live < before;
}

/**
 * Whether a nearly full table may lose this entry: not assured, or a TCP connection that is
 * ending.
 */
function isDispensable(e: Entry): bool {
  if (!has(e, ASSURED)) return true;
  const state: i32 = e.state;
  return protocolOf(tupleOf(e, ORIGINAL)) == IpProtocol.Tcp && state >= TcpState.FinWait &&
    state <= TcpState.Close;
}

/**
 * Looks at the next `budget` entries and deletes those that have run out; above 95 % of the
 * capacity also those that are dispensable.
 */
export function expireEntries(budget: u32): void {
  if (used == 0) return;
  const limit = <u32>(<u64>capacity * 95 / 100);
  for (let i = min<u32>(budget, used); i > 0; i--) {
    hand = hand % used + 1;
    const e = entryAt(hand);
    if (!has(e, IN_USE)) continue;
    if (e.expiresAt <= now) remove(e);
    else if (live > limit && isDispensable(e)) {
      remove(e);
      count(Counter.EarlyDropped);
    }
  }
}

/** The id of the first entry in use behind `id`, or 0. */
export function nextEntry(id: u32): u32 {
  while (id < used) {
    const e = entryAt(++id);
    if (has(e, IN_USE) && e.expiresAt > now) return id;
  }
  return 0;
}

/** Whether the place still holds the entry that it held at `generation`. */
export function isSame(id: u32, generation: u32): bool {
  if (id == 0 || id > used) return false;
  const e = entryAt(id);
  return has(e, IN_USE) && e.generation == generation && e.expiresAt > now;
}
