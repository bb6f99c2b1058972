/**
 * TCP connection tracking: the states, transitions and timeouts of Linux's nf_conntrack
 * (net/netfilter/nf_conntrack_proto_tcp.c), with windows always taken liberally
 * (`nf_conntrack_tcp_be_liberal`): a segment is never invalid for being out of window.
 */

import { TcpState } from "./abi";
import { now } from "./clock";
import { ASSURED, Entry, has, ORIGINAL, REPLY, SEEN_REPLY } from "./tables/conntrack";
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

/** Flags of a direction. */
const CLOSE_INIT: u8 = 1;
const MAX_ACK_KNOWN: u8 = 2;
const UNACKNOWLEDGED: u8 = 4;
const END_KNOWN: u8 = 8;
/** Flags of the last SYN. */
const CHALLENGE_EXPECTED: u8 = 1;
const SIMULTANEOUS_OPEN: u8 = 2;

const MAX_RETRANSMISSIONS: u8 = 3;

// @ts-ignore: decorator
@inline
function transition(direction: u32, class_: u32, state: u32): u8 {
  return load<u8>(TRANSITIONS + <usize>((direction * CLASSES + class_) * STATES + state));
}

// @ts-ignore: decorator
@inline
function after(a: u32, b: u32): bool {
  return <i32>(a - b) > 0;
}

// @ts-ignore: decorator
@inline
function flagsOf(e: Entry, direction: u32): u8 {
  return direction == ORIGINAL ? e.flags0 : e.flags1;
}

function setFlags(e: Entry, direction: u32, flags: u8): void {
  if (direction == ORIGINAL) e.flags0 = flags;
  else e.flags1 = flags;
}

// @ts-ignore: decorator
@inline
function endOf(e: Entry, direction: u32): u32 {
  return direction == ORIGINAL ? e.end0 : e.end1;
}

function setEnd(e: Entry, direction: u32, end: u32): void {
  if (direction == ORIGINAL) e.end0 = end;
  else e.end1 = end;
}

// @ts-ignore: decorator
@inline
function maxAckOf(e: Entry, direction: u32): u32 {
  return direction == ORIGINAL ? e.maxAck0 : e.maxAck1;
}

function setMaxAck(e: Entry, direction: u32, ack: u32): void {
  if (direction == ORIGINAL) e.maxAck0 = ack;
  else e.maxAck1 = ack;
}

/** Whether a segment may begin a connection: a SYN, or an ACK of one that was there before us. */
export function canBegin(class_: u32): bool {
  return transition(ORIGINAL, class_, NO) != iv;
}

/** Sets up a new entry for its first segment; `length` is that of header and payload. */
export function begin(e: Entry, at: usize, length: u32): void {
  const class_ = tcp.classify(tcp.flags(at));
  e.state = transition(ORIGINAL, class_, NO);
  e.flags0 = 0;
  e.flags1 = 0;
  e.lastFlags = 0;
  e.retransmissions = 0;
  e.lastClass = <u8>class_;
  e.lastDirection = <u8>ORIGINAL;
  follow(e, ORIGINAL, class_, e.state, at, length);
  const timeout = tcpTimeout(e.state);
  e.expiresAt = now + (e.state == TcpState.Established ? min<u32>(timeout, TCP_DOUBTFUL) : timeout);
}

/** Moves the state on by a segment of an existing connection. */
export function track(e: Entry, direction: u32, at: usize, length: u32): u32 {
  const class_ = tcp.classify(tcp.flags(at));
  let old: u32 = e.state;
  let next: u32 = transition(direction, class_, old);

  if (next == SS && old >= TW) {
    const closing = ((e.flags0 | e.flags1) & CLOSE_INIT) != 0 ||
      (<u32>e.lastDirection == direction && <u32>e.lastClass == CLASS_RST);
    if (closing) return REOPEN;
    next = ig;
  }
  if (next == ig) {
    if (!acknowledgesIgnoredSyn(e, direction, class_, at)) {
      ignore(e, direction, class_, old, at, length);
      return ACCEPT;
    }
    // Both ends have begun anew behind our back: follow them.
    const other = 1 - direction;
    setEnd(e, other, e.lastEnd);
    setFlags(e, other, END_KNOWN);
    setFlags(e, direction, 0);
    setEnd(e, direction, 0);
    e.lastFlags = 0;
    old = SS;
    next = SR;
  }
  if (next == iv) return INVALID;
  if (next == TW && isChallengeAck(e, direction, class_, old)) {
    e.lastFlags &= ~CHALLENGE_EXPECTED;
    return ACCEPT;
  }
  if (next == S2) e.lastFlags |= SIMULTANEOUS_OPEN;
  const opening = class_ == CLASS_ACK && direction == REPLY &&
    (e.lastFlags & SIMULTANEOUS_OPEN) != 0;
  if (next == SR && opening) next = ES;
  if (next == CL && class_ == CLASS_RST) {
    next = judgeReset(e, direction, old, at);
    if (next == iv) return INVALID;
  }
  follow(e, direction, class_, old, at, length);
  e.lastClass = <u8>class_;
  e.lastDirection = <u8>direction;
  e.state = <u8>next;
  if (old != next && next == FW) setFlags(e, direction, flagsOf(e, direction) | CLOSE_INIT);
  return refresh(e, class_, old, next);
}

/** Whether a SYN+ACK answers the SYN that we let through without believing it. */
function acknowledgesIgnoredSyn(e: Entry, direction: u32, class_: u32, at: usize): bool {
  return class_ == CLASS_SYNACK && <u32>e.lastClass == CLASS_SYN &&
    <u32>e.lastDirection != direction && tcp.acknowledgment(at) == e.lastEnd;
}

function ignore(e: Entry, direction: u32, class_: u32, old: u32, at: usize, length: u32): void {
  e.lastClass = <u8>class_;
  e.lastDirection = <u8>direction;
  e.lastSeq = tcp.sequence(at);
  e.lastEnd = tcp.segmentEnd(at, length);
  e.lastWindow = <u16>tcp.window(at);
  if (class_ == CLASS_SYN && direction == ORIGINAL) {
    e.lastFlags = old == LA ? CHALLENGE_EXPECTED : 0;
  }
  if (old == SS && class_ == CLASS_ACK && direction == REPLY) e.lastAck = tcp.acknowledgment(at);
}

/** RFC 5961: an ACK provoked by a stray SYN doesn't acknowledge the last FIN. */
function isChallengeAck(e: Entry, direction: u32, class_: u32, old: u32): bool {
  return old == LA && class_ == CLASS_ACK && <u32>e.lastDirection != direction &&
    <u32>e.lastClass == CLASS_SYN && (e.lastFlags & CHALLENGE_EXPECTED) != 0;
}

/**
 * The state after a reset: CL, or the old one when the sequence number is not exact (the other end
 * may answer with a challenge ACK), or iv when it is older than what the peer has acknowledged:
 * otherwise anyone who guesses the ports could end a connection's tracking.
 */
function judgeReset(e: Entry, direction: u32, old: u32, at: usize): u32 {
  const established = old == ES;
  if (old >= FW && old <= CL) return CL;
  const peer = 1 - direction;
  const known = (flagsOf(e, peer) & MAX_ACK_KNOWN) != 0 && <u32>e.lastClass != CLASS_SYN;
  if (!known) return CL;
  const seq = tcp.sequence(at);
  if (seq == 0 && !established) return CL;
  const acknowledged = maxAckOf(e, peer);
  if (after(acknowledged, seq)) return iv;
  if (!established || seq == acknowledged) return CL;
  const endsTrain = <u32>e.lastClass == CLASS_ACK && <u32>e.lastDirection == direction &&
    seq == e.lastEnd;
  return endsTrain ? CL : old;
}

/** Follows what each side has sent and acknowledged, as far as timeouts and resets need it. */
function follow(e: Entry, direction: u32, class_: u32, old: u32, at: usize, length: u32): void {
  const flags = tcp.flags(at);
  const peer = 1 - direction;
  const seq = tcp.sequence(at);
  const end = tcp.segmentEnd(at, length);
  const ack = tcp.acknowledgment(at);
  let own = flagsOf(e, direction);
  const reset = (flags & tcp.RST) != 0;
  if ((own & END_KNOWN) == 0) {
    own |= END_KNOWN;
    setEnd(e, direction, end);
    // Picked up in the middle: all that we know of the peer is what it was acknowledged.
    if ((flags & tcp.SYN) == 0 && (flagsOf(e, peer) & END_KNOWN) == 0) setEnd(e, peer, ack);
  } else if ((flags & tcp.SYN) != 0 && (old == SS || old == SR)) {
    if (after(end, endOf(e, direction))) setEnd(e, direction, end);
  } else if (!reset && after(end, endOf(e, direction))) {
    setEnd(e, direction, end);
    own |= UNACKNOWLEDGED;
  }
  if ((flags & tcp.ACK) != 0 && !(reset && ack == 0)) {
    const sent = endOf(e, peer);
    // Nobody can acknowledge what was not sent; a forged ACK must not invalidate later resets.
    const plausible = (flagsOf(e, peer) & END_KNOWN) == 0 || !after(ack, sent);
    const newer = (own & MAX_ACK_KNOWN) == 0 || after(ack, maxAckOf(e, direction));
    if (plausible && newer) {
      setMaxAck(e, direction, ack);
      own |= MAX_ACK_KNOWN;
    }
    if (ack == sent) setFlags(e, peer, flagsOf(e, peer) & ~UNACKNOWLEDGED);
  }
  setFlags(e, direction, own);
  if (class_ == CLASS_ACK) {
    const window = <u16>tcp.window(at);
    const repeated = <u32>e.lastDirection == direction && e.lastSeq == seq && e.lastAck == ack &&
      e.lastEnd == end && e.lastWindow == window;
    if (repeated) {
      if (e.retransmissions < 255) e.retransmissions++;
    } else {
      e.retransmissions = 0;
      e.lastDirection = <u8>direction;
      e.lastSeq = seq;
      e.lastAck = ack;
      e.lastEnd = end;
      e.lastWindow = window;
    }
  }
}

/** Chooses the timeout; the first rule that fits holds. */
function refresh(e: Entry, class_: u32, old: u32, next: u32): u32 {
  let timeout = tcpTimeout(next);
  const repeated = e.retransmissions >= MAX_RETRANSMISSIONS && timeout > TCP_DOUBTFUL;
  if (class_ == CLASS_RST && !repeated) {
    timeout = tcpTimeout(CL);
  } else if (timeout > TCP_DOUBTFUL) {
    const doubtful = repeated || ((e.flags0 | e.flags1) & UNACKNOWLEDGED) != 0 || e.lastWindow == 0;
    if (doubtful) timeout = TCP_DOUBTFUL;
  }
  if (!has(e, SEEN_REPLY)) {
    if (class_ == CLASS_RST) return ACCEPT_LAST;
    // A client that keeps trying must not keep its backend for ever.
    if (class_ == CLASS_SYN && old == SS) return ACCEPT;
    if (next == ES) timeout = min<u32>(timeout, TCP_DOUBTFUL);
  } else if (!has(e, ASSURED) && (old == SR || old == ES) && next == ES) {
    e.status |= ASSURED;
  }
  e.expiresAt = now + timeout;
  return ACCEPT;
}
