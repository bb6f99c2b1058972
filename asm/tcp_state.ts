/**
 * TCP connection tracking: the states, transitions and timeouts of Linux's nf_conntrack
 * (net/netfilter/nf_conntrack_proto_tcp.c), with windows always taken liberally
 * (`nf_conntrack_tcp_be_liberal`): a segment is never invalid for being out of window.
 */

import { TcpState } from "./abi";
import {
  ASSURED,
  Entry,
  keepFor,
  keepForWith,
  ORIGINAL,
  REPLY,
  SEEN_REPLY,
  STATE_MASK,
  tcpOf,
  TcpPart,
} from "./tables/entry";
import {
  after,
  CHALLENGE_EXPECTED,
  CLOSE_INIT,
  digest,
  DIRECTION_FLAGS,
  END_KNOWN,
  flagOf,
  FOLLOWED,
  LAST_FLAGS,
  lastClass,
  lastDirection,
  MAX_ACK_KNOWN,
  remember,
  REPEATED_MASK,
  REPEATED_SHIFT,
  SETTLED,
  SETTLED_MASK,
  SIMULTANEOUS_OPEN,
  UNACKNOWLEDGED,
  WINDOW_OPEN,
} from "./tcp_marks";
import { TCP_DOUBTFUL, tcpTimeout } from "./timeouts";
import * as tcp from "./wire/tcp";
import { CLASS_ACK, CLASS_RST, CLASS_SYN, CLASS_SYNACK } from "./wire/tcp";

/** What becomes of the segment. */
export const ACCEPT: u32 = 0;
/** Not part of the connection. */
export const INVALID: u32 = 1;
/** The connection is over: delete the entry, begin a new one with this segment. */
export const REOPEN: u32 = 2;
/** Accept the segment, then delete the entry. */
export const ACCEPT_LAST: u32 = 3;

const NO: u8 = 0, SS: u8 = 1, SR: u8 = 2, ES: u8 = 3, FW: u8 = 4, CW: u8 = 5, LA: u8 = 6,
  TW: u8 = 7, CL: u8 = 8, S2: u8 = 9;
/** Invalid; ignored (accepted, and the state kept). */
const iv: u8 = 10, ig: u8 = 11;

const STATES: u32 = 10;
const CLASSES: u32 = 6;

/** New state by direction, class of the segment and old state. */
const TRANSITIONS = memory.data<u8>([
  // Original direction; columns: NO SS SR ES FW CW LA TW CL S2.
  /* syn    */ SS, SS, ig, ig, ig, ig, ig, SS, SS, S2,
  /* synack */ iv, iv, SR, iv, iv, iv, iv, iv, iv, SR,
  /* fin    */ iv, iv, FW, FW, LA, LA, LA, TW, CL, iv,
  /* ack    */ ES, iv, ES, ES, CW, CW, TW, TW, CL, iv,
  /* rst    */ iv, CL, CL, CL, CL, CL, CL, CL, CL, CL,
  /* none   */ iv, iv, iv, iv, iv, iv, iv, iv, iv, iv,
  // Reply direction.
  /* syn    */ iv, S2, iv, iv, iv, iv, iv, SS, iv, S2,
  /* synack */ iv, SR, ig, ig, ig, ig, ig, ig, ig, SR,
  /* fin    */ iv, iv, FW, FW, LA, LA, LA, TW, CL, iv,
  /* ack    */ iv, ig, SR, ES, CW, CW, TW, TW, CL, ig,
  /* rst    */ iv, CL, CL, CL, CL, CL, CL, CL, CL, CL,
  /* none   */ iv, iv, iv, iv, iv, iv, iv, iv, iv, iv,
]);

// @ts-ignore: decorator
@inline
function transition(direction: u32, class_: u32, state: u32): u8 {
  return load<u8>(TRANSITIONS + <usize>((direction * CLASSES + class_) * STATES + state));
}

/** Where a direction's end is, and 8 bytes behind it its highest acknowledgment. */
// @ts-ignore: decorator
@inline
function partOf(e: Entry, direction: u32): usize {
  return changetype<usize>(tcpOf(e)) + (<usize>direction << 2);
}

// @ts-ignore: decorator
@inline
function endOf(e: Entry, direction: u32): u32 {
  return load<u32>(partOf(e, direction));
}

// @ts-ignore: decorator
@inline
function setEnd(e: Entry, direction: u32, end: u32): void {
  store<u32>(partOf(e, direction), end);
}

// @ts-ignore: decorator
@inline
function maxAckOf(e: Entry, direction: u32): u32 {
  return load<u32>(partOf(e, direction), offsetof<TcpPart>("maxAck0"));
}

// @ts-ignore: decorator
@inline
function setMaxAck(e: Entry, direction: u32, ack: u32): void {
  store<u32>(partOf(e, direction), ack, offsetof<TcpPart>("maxAck0"));
}

/** Whether a segment may begin a connection: a SYN, or an ACK of one that was there before us. */
export function canBegin(class_: u32): bool {
  return transition(ORIGINAL, class_, NO) != iv;
}

/** Sets up a new entry for its first segment; `length` is that of header and payload. */
// @ts-ignore: decorator
@inline
export function begin(e: Entry, at: usize, length: u32): void {
  const class_ = tcp.classify(tcp.flags(at));
  if (class_ == CLASS_SYN) {
    tcpOf(e).end0 = tcp.segmentEnd(at, length);
    e.marks = (e.marks & ~FOLLOWED) | END_KNOWN | SS;
    return keepFor(e, tcpTimeout(SS));
  }
  const state: u32 = transition(ORIGINAL, class_, NO);
  const marks = follow(e, e.marks & ~FOLLOWED, ORIGINAL, class_, state, at, length);
  e.marks = remember(marks, class_, ORIGINAL) | state;
  const timeout = tcpTimeout(state);
  keepFor(e, state == TcpState.Established ? min<u32>(timeout, TCP_DOUBTFUL) : timeout);
}

/**
 * Whether a segment is what most are: a plain ACK in the middle of a connection's life. `word` is its
 * bytes 12 to 15.
 */
// @ts-ignore: decorator
@inline
export function isPlain(marks: u32, word: u32): bool {
  const flags = (word >> 8) & (tcp.SYN | tcp.FIN | tcp.RST | tcp.ACK);
  return (marks & SETTLED_MASK) == SETTLED && flags == tcp.ACK;
}

/** Does what {@link track} and ipvs_state.ts do, for what {@link isPlain}. */
// @ts-ignore: decorator
@inline
export function trackPlain(
  e: Entry,
  marks: u32,
  direction: u32,
  at: usize,
  word: u32,
  length: u32,
): void {
  const numbers = load<u64>(at, 4);
  const seq = bswap<u32>(<u32>numbers);
  const ack = bswap<u32>(<u32>(numbers >> 32));
  const end = seq + length - ((word & 0xf0) >> 2);
  const own = partOf(e, direction);
  const peer = 1 - direction;
  const sent = endOf(e, peer);
  if (after(end, load<u32>(own))) {
    store<u32>(own, end);
    marks |= flagOf(direction, UNACKNOWLEDGED);
  }
  const maxAck = load<u32>(own, offsetof<TcpPart>("maxAck0"));
  if (after(ack, maxAck) && !after(ack, sent)) store<u32>(own, ack, offsetof<TcpPart>("maxAck0"));
  if (ack == sent) marks &= ~flagOf(peer, UNACKNOWLEDGED);
  const window = <u32>bswap<u16>(<u16>(word >> 16));
  marks = remember(followAck(e, marks, direction, seq, ack, end, window), CLASS_ACK, direction);
  let timeout = tcpTimeout(TcpState.Established);
  const unsure = (marks & (UNACKNOWLEDGED | UNACKNOWLEDGED << 4)) != 0 ||
    (marks & WINDOW_OPEN) == 0 || (marks & REPEATED_MASK) == REPEATED_MASK;
  if (unsure && timeout > TCP_DOUBTFUL) timeout = TCP_DOUBTFUL;
  keepForWith(e, timeout, marks);
}

/** Moves the state on by a segment of an existing connection. */
export function track(e: Entry, direction: u32, at: usize, length: u32): u32 {
  const class_ = tcp.classify(tcp.flags(at));
  let marks = e.marks;
  let old: u32 = marks & STATE_MASK;
  let next: u32 = transition(direction, class_, old);

  if (next == SS && old >= TW) {
    const closing = (marks & (CLOSE_INIT | CLOSE_INIT << 4)) != 0 ||
      (lastDirection(marks) == direction && lastClass(marks) == CLASS_RST);
    if (closing) return REOPEN;
    next = ig;
  }
  if (next == ig) {
    if (!acknowledgesIgnoredSyn(e, marks, direction, class_, at)) {
      ignore(e, marks, direction, class_, old, at, length);
      return ACCEPT;
    }
    // Both ends have begun anew behind our back: follow them.
    const other = 1 - direction;
    setEnd(e, other, tcpOf(e).lastEnd);
    setEnd(e, direction, 0);
    marks &= ~(DIRECTION_FLAGS | (DIRECTION_FLAGS << 4) | LAST_FLAGS);
    marks |= flagOf(other, END_KNOWN);
    old = SS;
    next = SR;
  }
  if (next == iv) return INVALID;
  if (next == TW && isChallengeAck(marks, direction, class_, old)) {
    e.marks = marks & ~CHALLENGE_EXPECTED;
    return ACCEPT;
  }
  if (next == S2) marks |= SIMULTANEOUS_OPEN;
  const opening = class_ == CLASS_ACK && direction == REPLY && (marks & SIMULTANEOUS_OPEN) != 0;
  if (next == SR && opening) next = ES;
  if (next == CL && class_ == CLASS_RST) {
    next = judgeReset(e, marks, direction, old, at);
    if (next == iv) return INVALID;
  }
  marks = follow(e, marks, direction, class_, old, at, length);
  marks = (remember(marks, class_, direction) & ~STATE_MASK) | next;
  if (old != next && next == FW) marks |= flagOf(direction, CLOSE_INIT);
  return refresh(e, marks, class_, old, next);
}

/** Whether a SYN+ACK answers the SYN that we let through without believing it. */
function acknowledgesIgnoredSyn(
  e: Entry,
  marks: u32,
  direction: u32,
  class_: u32,
  at: usize,
): bool {
  return class_ == CLASS_SYNACK && lastClass(marks) == CLASS_SYN &&
    lastDirection(marks) != direction && tcp.acknowledgment(at) == tcpOf(e).lastEnd;
}

function ignore(
  e: Entry,
  marks: u32,
  direction: u32,
  class_: u32,
  old: u32,
  at: usize,
  length: u32,
): void {
  const window = tcp.window(at);
  marks = remember(marks, class_, direction) & ~WINDOW_OPEN;
  if (window != 0) marks |= WINDOW_OPEN;
  if (class_ == CLASS_SYN && direction == ORIGINAL) {
    marks &= ~LAST_FLAGS;
    if (old == LA) marks |= CHALLENGE_EXPECTED;
  }
  e.marks = marks;
  e.digest = digest(tcp.sequence(at), tcp.acknowledgment(at), window);
  tcpOf(e).lastEnd = tcp.segmentEnd(at, length);
}

/** RFC 5961: an ACK provoked by a stray SYN doesn't acknowledge the last FIN. */
function isChallengeAck(marks: u32, direction: u32, class_: u32, old: u32): bool {
  return old == LA && class_ == CLASS_ACK && lastDirection(marks) != direction &&
    lastClass(marks) == CLASS_SYN && (marks & CHALLENGE_EXPECTED) != 0;
}

/**
 * The state after a reset: CL, or the old one when the sequence number is not exact (the other end
 * may answer with a challenge ACK), or iv when it is older than what the peer has acknowledged:
 * otherwise anyone who guesses the ports could end a connection's tracking.
 */
function judgeReset(e: Entry, marks: u32, direction: u32, old: u32, at: usize): u32 {
  const established = old == ES;
  if (old >= FW && old <= CL) return CL;
  const peer = 1 - direction;
  const known = (marks & flagOf(peer, MAX_ACK_KNOWN)) != 0 && lastClass(marks) != CLASS_SYN;
  if (!known) return CL;
  const seq = tcp.sequence(at);
  if (seq == 0 && !established) return CL;
  const acknowledged = maxAckOf(e, peer);
  if (after(acknowledged, seq)) return iv;
  if (!established || seq == acknowledged) return CL;
  const endsTrain = lastClass(marks) == CLASS_ACK && lastDirection(marks) == direction &&
    seq == tcpOf(e).lastEnd;
  return endsTrain ? CL : old;
}

/**
 * Follows what each side has sent and acknowledged, as far as timeouts and resets need it; returns
 * the marks.
 */
function follow(
  e: Entry,
  marks: u32,
  direction: u32,
  class_: u32,
  old: u32,
  at: usize,
  length: u32,
): u32 {
  const flags = tcp.flags(at);
  const peer = 1 - direction;
  const seq = tcp.sequence(at);
  const end = tcp.segmentEnd(at, length);
  const ack = tcp.acknowledgment(at);
  const reset = (flags & tcp.RST) != 0;
  if ((marks & flagOf(direction, END_KNOWN)) == 0) {
    marks |= flagOf(direction, END_KNOWN);
    setEnd(e, direction, end);
    // Picked up in the middle: all that we know of the peer is what it was acknowledged.
    if ((flags & tcp.SYN) == 0 && (marks & flagOf(peer, END_KNOWN)) == 0) setEnd(e, peer, ack);
  } else if ((flags & tcp.SYN) != 0 && (old == SS || old == SR)) {
    if (after(end, endOf(e, direction))) setEnd(e, direction, end);
  } else if (!reset && after(end, endOf(e, direction))) {
    setEnd(e, direction, end);
    marks |= flagOf(direction, UNACKNOWLEDGED);
  }
  if ((flags & tcp.ACK) != 0 && !(reset && ack == 0)) {
    const sent = endOf(e, peer);
    // Nobody can acknowledge what was not sent; a forged ACK must not invalidate later resets.
    const plausible = (marks & flagOf(peer, END_KNOWN)) == 0 || !after(ack, sent);
    const newer = (marks & flagOf(direction, MAX_ACK_KNOWN)) == 0 ||
      after(ack, maxAckOf(e, direction));
    if (plausible && newer) {
      setMaxAck(e, direction, ack);
      marks |= flagOf(direction, MAX_ACK_KNOWN);
    }
    if (ack == sent) marks &= ~flagOf(peer, UNACKNOWLEDGED);
  }
  return class_ == CLASS_ACK
    ? followAck(e, marks, direction, seq, ack, end, tcp.window(at))
    : marks;
}

/** Counts how often one ACK comes again. */
// @ts-ignore: decorator
@inline
function followAck(
  e: Entry,
  marks: u32,
  direction: u32,
  seq: u32,
  ack: u32,
  end: u32,
  window: u32,
): u32 {
  const mark = digest(seq, ack, window);
  const t = tcpOf(e);
  if (lastDirection(marks) == direction && e.digest == mark && t.lastEnd == end) {
    const once: u32 = 1 << REPEATED_SHIFT;
    return (marks & REPEATED_MASK) == REPEATED_MASK ? marks : marks + once;
  }
  e.digest = mark;
  t.lastEnd = end;
  marks &= ~(REPEATED_MASK | WINDOW_OPEN);
  return window != 0 ? marks | WINDOW_OPEN : marks;
}

/** Chooses the timeout, the first rule that fits holds; and writes the marks. */
// @ts-ignore: decorator
@inline
function refresh(e: Entry, marks: u32, class_: u32, old: u32, next: u32): u32 {
  let timeout = tcpTimeout(next);
  const repeated = (marks & REPEATED_MASK) == REPEATED_MASK && timeout > TCP_DOUBTFUL;
  if (class_ == CLASS_RST && !repeated) {
    timeout = tcpTimeout(CL);
  } else if (timeout > TCP_DOUBTFUL) {
    const unacknowledged = (marks & (UNACKNOWLEDGED | UNACKNOWLEDGED << 4)) != 0;
    if (repeated || unacknowledged || (marks & WINDOW_OPEN) == 0) timeout = TCP_DOUBTFUL;
  }
  let result = ACCEPT;
  if ((marks & SEEN_REPLY) == 0) {
    if (class_ == CLASS_RST) result = ACCEPT_LAST;
    else if (next == ES) timeout = min<u32>(timeout, TCP_DOUBTFUL);
    // A client that keeps trying must not keep its backend for ever.
    if (class_ == CLASS_RST || (class_ == CLASS_SYN && old == SS)) {
      e.marks = marks;
      return result;
    }
  } else if ((marks & ASSURED) == 0 && (old == SR || old == ES) && next == ES) {
    marks |= ASSURED;
  }
  e.marks = marks;
  keepFor(e, timeout);
  return result;
}
