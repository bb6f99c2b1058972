/**
 * Fragmented datagrams: which connection the first fragment belonged to, so that the later ones,
 * which have no ports, can follow it. Not reassembled; fragments that overtake the first are lost.
 * One place per hash: a flood only pushes out other fragmented datagrams.
 */

import { now } from "../clock";
import { region } from "../memory";
import { Packet, tupleOf } from "../packet";
import { hashAddress } from "../tuple";
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
}

const SIZE: usize = (offsetof<Fragmented>() + 7) & ~7;

let table: usize = 0;

export function layoutFragments(): void {
  table = region(<usize>PLACES * SIZE);
}

function placeOf(p: Packet): Fragmented {
  const t = tupleOf(p);
  const word = <u64>p.identification | (<u64>t.meta << 32);
  const hash = hashAddress(t.sourceHi ^ t.destHi, t.sourceLo + t.destLo, word);
  return changetype<Fragmented>(table + <usize>(hash & (PLACES - 1)) * SIZE);
}

/** Remembers the connection of a first fragment, as the fragment came. */
export function rememberFragment(p: Packet, e: Entry, direction: u32): void {
  const t = tupleOf(p);
  const f = placeOf(p);
  f.sourceHi = t.sourceHi;
  f.sourceLo = t.sourceLo;
  f.destHi = t.destHi;
  f.destLo = t.destLo;
  f.meta = t.meta;
  f.identification = p.identification;
  f.entry = idOf(e);
  f.signature = signatureOf(e);
  f.direction = direction;
  f.expiresAt = now + LIFETIME;
}

/** Direction of the fragment whose entry {@link findFragment} gave. */
export let fragmentDirection: u32 = 0;

/** The entry that a later fragment belongs to, or none. */
export function findFragment(p: Packet): Entry {
  const t = tupleOf(p);
  const f = placeOf(p);
  const known = f.expiresAt > now && f.identification == p.identification && f.meta == t.meta &&
    f.sourceLo == t.sourceLo && f.destLo == t.destLo && f.sourceHi == t.sourceHi &&
    f.destHi == t.destHi && isSame(f.entry, f.signature);
  if (!known) return entryAt(0);
  fragmentDirection = f.direction;
  return entryAt(f.entry);
}
