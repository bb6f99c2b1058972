/**
 * Entries of conntrack. An entry of 48 bytes stands for both directions of a connection: it has the
 * original tuple, and of the reply tuple what its backend and masquerade address do not say. The
 * addresses of an IPv6 connection are in a second place.
 */

import { IpProtocol, TcpState } from "../abi";
import { now } from "../clock";
import { region } from "../memory";
import { splitmix } from "../random";
import { familyOf, mapped, protocolOf, Tuple } from "../tuple";
import { backendAt } from "./backends";
import { masqueradeAddressAt } from "./masquerade";

/** Directions. */
export const ORIGINAL: u32 = 0;
export const REPLY: u32 = 1;

@unmanaged
export class Entry {
  /** IPv4: of the original tuple, as on the wire. IPv6: place of the {@link Addresses}. */
  source: u32;
  /** IPv4: of the original tuple. IPv6: that tuple's hash. */
  dest: u32;
  /** Of the original tuple, as there. */
  ports: u32;
  /** Backend's id, see {@link backendOf}; above it the kind of tuple and the masquerade address. */
  owner: u32;
  /** The low word of a time in ms. */
  expiresAt: u32;
  /** Bits: see {@link SEEN_REPLY} and what follows there. */
  marks: u32;
  /** The reply tuple's destination port, network order. */
  replyPort: u16;
  /** TCP: of sequence number, acknowledgment and window of the last ACK; see tcp_marks.ts. */
  digest: u16;
  /** The rest is the protocol's: as {@link TcpPart}, {@link UdpPart}, {@link SctpPart}. */
  p0: u32;
  p1: u32;
  p2: u32;
  p3: u32;
  p4: u32;
}

const SIZE: usize = offsetof<Entry>();

/** Per direction: behind the highest byte sent, and the highest acknowledgment sent. */
@unmanaged
export class TcpPart {
  end0: u32;
  /** As long as the connection is {@link isWaiting}: backends that have been tried. */
  end1: u32;
  maxAck0: u32;
  /** As long as the connection is {@link isWaiting}: the kept SYN, id. */
  maxAck1: u32;
  /** End of the last segment that counted. */
  lastEnd: u32;
}

@unmanaged
export class UdpPart {
  /** The backend's other UDP entries, ids. */
  before: u32;
  after: u32;
  /** From when on it counts as a stream: the low word of a time in ms. */
  streamAt: u32;
}

@unmanaged
export class SctpPart {
  /** Verification tags by direction. */
  tag0: u32;
  tag1: u32;
}

// @ts-ignore: decorator
@inline
export function tcpOf(e: Entry): TcpPart {
  return changetype<TcpPart>(changetype<usize>(e) + offsetof<Entry>("p0"));
}

// @ts-ignore: decorator
@inline
export function udpOf(e: Entry): UdpPart {
  return changetype<UdpPart>(changetype<usize>(e) + offsetof<Entry>("p0"));
}

// @ts-ignore: decorator
@inline
export function sctpOf(e: Entry): SctpPart {
  return changetype<SctpPart>(changetype<usize>(e) + offsetof<Entry>("p0"));
}

/** The original tuple's addresses of an IPv6 connection, in a place of its own. */
@unmanaged
export class Addresses {
  sourceHi: u64;
  sourceLo: u64;
  /** Checksum difference of the original direction. */
  delta: u32;
  /** Where an entry has its marks: none. */
  marks: u32;
  destHi: u64;
  destLo: u64;
}

/** Bits 0-3 of the marks: the protocol's state. */
export const STATE_MASK: u32 = 15;
export const SEEN_REPLY: u32 = 1 << 4;
export const ASSURED: u32 = 1 << 5;
export const IN_USE: u32 = 1 << 6;
/** The backend was picked from the pool of local ones. */
export const LOCAL_POOL: u32 = 1 << 7;
/** Whether it counts as active. */
export const ACTIVE: u32 = 1 << 29;
/** Bits 8-23 and 28 are TCP's (tcp_marks.ts), 24-27 the state that IPVS would have. */
export const IPVS_SHIFT: u32 = 24;

export const BACKEND_BITS: u32 = 24;
const BACKEND_MASK: u32 = (1 << BACKEND_BITS) - 1;
/** Kinds of tuples: a protocol in bits 0-1, the family in bit 2. */
const KIND_MASK: u32 = 7;
export const KIND_TCP: u32 = 1;
export const KIND_UDP: u32 = 2;
export const KIND_SCTP: u32 = 3;
export const KIND_V6: u32 = 4;
const MASQUERADE_SHIFT: u32 = BACKEND_BITS + 3;

/** The longest that an entry can have yet to live, ms; what seems to have longer has run out. */
const LONGEST: u32 = 0xf0000000;

const ORIGINAL_TUPLE: usize = memory.data(40, 8);
const REPLY_TUPLE: usize = memory.data(40, 8);

let table: usize = 0;

/** Lays out for so many places, numbered from 1; place 0 is the none entry. */
export function layoutEntries(count: u32): void {
  table = region(<usize>(count + 1) * SIZE);
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

/** Whether an entry has one of the marks. */
// @ts-ignore: decorator
@inline
export function has(e: Entry, mark: u32): bool {
  return (e.marks & mark) != 0;
}

// @ts-ignore: decorator
@inline
export function stateOf(e: Entry): u32 {
  return e.marks & STATE_MASK;
}

// @ts-ignore: decorator
@inline
export function setState(e: Entry, state: u32): void {
  e.marks = (e.marks & ~STATE_MASK) | state;
}

/** What an entry's owner says: backend's id. */
// @ts-ignore: decorator
@inline
export function backendIn(owner: u32): u32 {
  return owner & BACKEND_MASK;
}

/** Number of the address that it is masqueraded to, or 0. */
// @ts-ignore: decorator
@inline
export function masqueradeIn(owner: u32): u32 {
  return owner >> MASQUERADE_SHIFT;
}

// @ts-ignore: decorator
@inline
export function isV6In(owner: u32): bool {
  return (owner & (KIND_V6 << BACKEND_BITS)) != 0;
}

/** Kind of its tuples. */
// @ts-ignore: decorator
@inline
export function kindIn(owner: u32): u32 {
  return (owner >> BACKEND_BITS) & KIND_MASK;
}

// @ts-ignore: decorator
@inline
export function backendOf(e: Entry): u32 {
  return backendIn(e.owner);
}

// @ts-ignore: decorator
@inline
export function masqueradeOf(e: Entry): u32 {
  return masqueradeIn(e.owner);
}

// @ts-ignore: decorator
@inline
export function isV6(e: Entry): bool {
  return isV6In(e.owner);
}

// @ts-ignore: decorator
@inline
export function kindOf(e: Entry): u32 {
  return kindIn(e.owner);
}

// @ts-ignore: decorator
@inline
export function kindOfTuple(t: Tuple): u32 {
  const protocol = protocolOf(t);
  const base = protocol == IpProtocol.Tcp
    ? KIND_TCP
    : protocol == IpProtocol.Udp
    ? KIND_UDP
    : KIND_SCTP;
  return base | (familyOf(t) << 2);
}

/** IP protocol number. */
// @ts-ignore: decorator
@inline
export function protocolOfEntry(e: Entry): u32 {
  const kind = kindOf(e) & 3;
  return kind == KIND_TCP ? IpProtocol.Tcp : kind == KIND_UDP ? IpProtocol.Udp : IpProtocol.Sctp;
}

// @ts-ignore: decorator
@inline
export function addressesOf(e: Entry): Addresses {
  return changetype<Addresses>(changetype<usize>(entryAt(e.source)));
}

/** Says when an entry runs out. */
// @ts-ignore: decorator
@inline
export function keepFor(e: Entry, ms: u32): void {
  e.expiresAt = <u32>now + ms;
}

/** Says when an entry runs out, and its marks. */
// @ts-ignore: decorator
@inline
export function keepForWith(e: Entry, ms: u32, marks: u32): void {
  const both = <u64>(<u32>now + ms) | (<u64>marks << 32);
  store<u64>(changetype<usize>(e), both, offsetof<Entry>("expiresAt"));
}

/** Milliseconds that it has yet to live, 0 when it has run out. */
// @ts-ignore: decorator
@inline
export function timeLeft(e: Entry): u32 {
  return leftUntil(e.expiresAt);
}

/** The same of {@link Entry.expiresAt}. */
// @ts-ignore: decorator
@inline
export function leftUntil(expiresAt: u32): u32 {
  const left = expiresAt - <u32>now;
  return left <= LONGEST ? left : 0;
}

/** Whether a TCP connection still waits for the backend's first answer. */
// @ts-ignore: decorator
@inline
export function isWaiting(e: Entry): bool {
  return (e.marks & (STATE_MASK | SEEN_REPLY | IN_USE)) == (TcpState.SynSent | IN_USE) &&
    (kindOf(e) & 3) == KIND_TCP;
}

/**
 * One of an entry's tuples; valid until that of another entry is asked for, and only to be read.
 */
export function tupleOf(e: Entry, direction: u32): Tuple {
  const t = changetype<Tuple>(direction == ORIGINAL ? ORIGINAL_TUPLE : REPLY_TUPLE);
  const v6 = isV6(e);
  t.meta = protocolOfEntry(e) | (<u32>v6 << 8);
  let sourceHi: u64 = 0, sourceLo: u64 = 0, destHi: u64 = 0, destLo: u64 = 0;
  if (v6) {
    const a = addressesOf(e);
    sourceHi = a.sourceHi;
    sourceLo = a.sourceLo;
    destHi = a.destHi;
    destLo = a.destLo;
  } else {
    sourceLo = mapped(e.source);
    destLo = mapped(e.dest);
  }
  if (direction == ORIGINAL) {
    t.sourceHi = sourceHi;
    t.sourceLo = sourceLo;
    t.destHi = destHi;
    t.destLo = destLo;
    t.ports = e.ports;
    return t;
  }
  const b = backendAt(backendOf(e));
  const number = masqueradeOf(e);
  t.sourceHi = b.addressHi;
  t.sourceLo = b.addressLo;
  t.destHi = number == 0 ? sourceHi : masqueradeAddressAt(number).hi;
  t.destLo = number == 0 ? sourceLo : masqueradeAddressAt(number).lo;
  t.ports = <u32>b.port | (<u32>e.replyPort << 16);
  return t;
}

/** Whether a link leads to an entry with the tuple. Nothing is asked of where it comes from. */
// @ts-ignore: decorator
@inline
export function leadsTo(link: u32, t: Tuple, kind: u32): bool {
  const e = entryAt(link >> 1);
  if (kindOf(e) != kind || !has(e, IN_USE)) return false;
  if ((link & 1) == ORIGINAL) {
    if (e.ports != t.ports) return false;
    if (kind < KIND_V6) {
      return e.source == <u32>(t.sourceLo >> 32) && e.dest == <u32>(t.destLo >> 32);
    }
    const a = addressesOf(e);
    return a.sourceLo == t.sourceLo && a.destLo == t.destLo && a.sourceHi == t.sourceHi &&
      a.destHi == t.destHi;
  }
  const b = backendAt(backendOf(e));
  if (t.ports != (<u32>b.port | (<u32>e.replyPort << 16)) || b.addressLo != t.sourceLo) {
    return false;
  }
  const number = masqueradeOf(e);
  if (number != 0) {
    const m = masqueradeAddressAt(number);
    return m.lo == t.destLo && m.hi == t.destHi && b.addressHi == t.sourceHi;
  }
  if (kind < KIND_V6) return e.source == <u32>(t.destLo >> 32);
  const a = addressesOf(e);
  return a.sourceLo == t.destLo && a.sourceHi == t.destHi && b.addressHi == t.sourceHi;
}

/** Says who an entry belongs to: a backend's id, and the number of a masquerade address or 0. */
// @ts-ignore: decorator
@inline
export function assign(e: Entry, backend: u32, masquerade: u32): void {
  e.owner = (e.owner & (KIND_MASK << BACKEND_BITS)) | backend | (masquerade << MASQUERADE_SHIFT);
}

/** A number for what an entry translates to what: another connection's differs. */
export function signatureOf(e: Entry): u64 {
  const client = (<u64>e.source << 32) | e.dest;
  return splitmix(client ^ splitmix(((<u64>e.ports << 32) | e.owner) ^ <u64>e.replyPort));
}
