/**
 * Fragmented datagrams: which connection the first fragment belonged to, so that the later ones,
 * which have no ports, can follow it. Not reassembled; fragments that overtake the first are lost.
 * One place per hash: a flood only pushes out other fragmented datagrams.
 *
 * What has gone through of a datagram is remembered, so that no fragment can overwrite another behind
 * the engine (RFC 5722, and Linux for IPv4 too): one that overlaps partly ends its datagram, one that
 * brings nothing new is dropped by itself.
 */

import { DropReason } from "../abi";
import { now } from "../clock";
import { region } from "../memory";
import { Packet, tupleOf } from "../packet";
import { familyOf, hashAddress, Tuple } from "../tuple";
import * as ipv6 from "../wire/ipv6";
import { isSame } from "./conntrack";
import { Entry, entryAt, idOf, signatureOf } from "./entry";

const PLACES: u32 = 4096;
/** IPv4 identifications come again after seconds at speed (RFC 4963). */
const LIFETIME: u64 = 2000;

@unmanaged
class Fragmented {
  sourceHi: u64;
  sourceLo: u64;
  destHi: u64;
  destLo: u64;
  expiresAt: u64;
  signature: u64;
  identification: u32;
  meta: u32;
  entry: u32;
  direction: u32;
  /** Bytes of the first fragment. */
  firstLength: u32;
  /** Parts of the datagram that went through: start, and above it the end; 0 for none. */
  part0: u32;
  part1: u32;
  part2: u32;
  part3: u32;
  /** Fragments overlapped: no more of it goes through. */
  spoilt: bool;
}

/** Parts that are told apart; a datagram in more pieces than that has lost too many. */
const PARTS: u32 = 4;

const SIZE: usize = (offsetof<Fragmented>() + 7) & ~7;

let table: usize = 0;

export function layoutFragments(): void {
  table = region(<usize>PLACES * SIZE);
}

/**
 * Of all fragments of a datagram alike: IPv4 tells them by protocol, IPv6 doesn't (RFC 8200 4.5), as
 * only the first one shows what follows the options behind its fragment header.
 */
// @ts-ignore: decorator
@inline
function metaOf(t: Tuple): u32 {
  return familyOf(t) == 0 ? t.meta : t.meta & ~<u32>0xff;
}

function placeOf(p: Packet): Fragmented {
  const t = tupleOf(p);
  const word = <u64>p.identification | (<u64>metaOf(t) << 32);
  const hash = hashAddress(t.sourceHi ^ t.destHi, t.sourceLo + t.destLo, word);
  return changetype<Fragmented>(table + <usize>(hash & (PLACES - 1)) * SIZE);
}

// @ts-ignore: decorator
@inline
function partAt(f: Fragmented, i: u32): usize {
  return changetype<usize>(f) + offsetof<Fragmented>("part0") + (<usize>i << 2);
}

// @ts-ignore: decorator
@inline
function isOf(f: Fragmented, p: Packet): bool {
  const t = tupleOf(p);
  return f.expiresAt > now && f.identification == p.identification && f.meta == metaOf(t) &&
    f.sourceLo == t.sourceLo && f.destLo == t.destLo && f.sourceHi == t.sourceHi &&
    f.destHi == t.destHi;
}

/**
 * Remembers the connection of a first fragment, as the fragment came. False when it must not go
 * through: another first fragment of its datagram was of another length. In IPv4 that is taken for
 * another datagram, because identifications come again.
 */
export function rememberFragment(p: Packet, e: Entry, direction: u32): bool {
  const t = tupleOf(p);
  const f = placeOf(p);
  const length = familyOf(t) == 0 ? p.transportLength : ipv6.fragmentLength(p.base, p.length);
  const signature = signatureOf(e);
  if (isOf(f, p) && f.signature == signature) {
    if (f.firstLength == length && !f.spoilt) return true;
    if (familyOf(t) != 0) {
      f.spoilt = true;
      return false;
    }
  }
  f.sourceHi = t.sourceHi;
  f.sourceLo = t.sourceLo;
  f.destHi = t.destHi;
  f.destLo = t.destLo;
  f.meta = metaOf(t);
  f.identification = p.identification;
  f.entry = idOf(e);
  f.signature = signature;
  f.direction = direction;
  f.firstLength = length;
  f.part0 = length << 16;
  f.part1 = 0;
  f.part2 = 0;
  f.part3 = 0;
  f.spoilt = false;
  f.expiresAt = now + LIFETIME;
  return true;
}

/** Direction of the fragment whose entry {@link findFragment} gave. */
export let fragmentDirection: u32 = 0;
/** Why it gave none. */
export let fragmentRefusal: DropReason = DropReason.None;

/** The entry that a later fragment belongs to; none when it must not go through. */
export function findFragment(p: Packet): Entry {
  const f = placeOf(p);
  fragmentRefusal = DropReason.FragmentUnknown;
  if (!isOf(f, p) || !isSame(f.entry, f.signature)) return entryAt(0);
  fragmentRefusal = DropReason.FragmentOverlap;
  if (f.spoilt || !admit(f, p.fragmentOffset, p.fragmentOffset + p.transportLength)) {
    return entryAt(0);
  }
  fragmentDirection = f.direction;
  return entryAt(f.entry);
}

/** Adds a part to what went through, if it overlaps nothing that did. */
function admit(f: Fragmented, start: u32, end: u32): bool {
  let free = PARTS;
  for (let i: u32 = 0; i < PARTS; i++) {
    const part = load<u32>(partAt(f, i));
    const from = part & 0xffff, to = part >> 16;
    if (part == 0) {
      free = i;
      continue;
    }
    if (start >= to || end <= from) continue;
    // Wholly known: a duplicate, or as good as one.
    if (start < from || end > to) f.spoilt = true;
    return false;
  }
  for (let i: u32 = 0; i < PARTS; i++) {
    const part = load<u32>(partAt(f, i));
    const from = part & 0xffff, to = part >> 16;
    if (part == 0 || (start != to && end != from)) continue;
    // Joins its neighbour, and so may bring that one together with another.
    store<u32>(partAt(f, i), 0);
    return admit(f, min<u32>(start, from), max<u32>(end, to));
  }
  if (free == PARTS) return false;
  store<u32>(partAt(f, free), start | (end << 16));
  return true;
}
