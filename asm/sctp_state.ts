/**
 * SCTP connection tracking: states, transitions, timeouts and verification tags of Linux's
 * nf_conntrack_proto_sctp.c (6.6 and later).
 */

import { ASSURED, Entry, keepFor, ORIGINAL, sctpOf, setState, stateOf } from "./tables/entry";
import * as sctp from "./wire/sctp";

const NO: u8 = 0, CL: u8 = 1, CW: u8 = 2, CE: u8 = 3, ES: u8 = 4, SS: u8 = 5, SR: u8 = 6,
  SA: u8 = 7, HS: u8 = 8;
const iv: u8 = 9;
const STATES: u32 = 9;
const ROWS: u32 = 11;

/** New state by direction, row of the chunk and old state. */
const TRANSITIONS = memory.data<u8>([
  // Original direction; columns: NO CL CW CE ES SS SR SA HS.
  /* INIT              */ CL, CL, CW, CE, ES, CL, CL, SA, CW,
  /* INIT_ACK          */ CL, CL, CW, CE, ES, SS, SR, SA, CL,
  /* ABORT             */ CL, CL, CL, CL, CL, CL, CL, CL, CL,
  /* SHUTDOWN          */ CL, CL, CW, CE, SS, SS, SR, SA, CL,
  /* SHUTDOWN_ACK      */ SA, CL, CW, CE, ES, SA, SA, SA, SA,
  /* ERROR             */ CL, CL, CW, CE, ES, SS, SR, SA, CL,
  /* COOKIE_ECHO       */ CL, CL, CE, CE, ES, SS, SR, SA, CL,
  /* COOKIE_ACK        */ CL, CL, CW, ES, ES, SS, SR, SA, CL,
  /* SHUTDOWN_COMPLETE */ CL, CL, CW, CE, ES, SS, SR, CL, CL,
  /* HEARTBEAT         */ HS, CL, CW, CE, ES, SS, SR, SA, HS,
  /* HEARTBEAT_ACK     */ CL, CL, CW, CE, ES, SS, SR, SA, HS,
  // Reply direction.
  /* INIT              */ iv, CL, CW, CE, ES, SS, SR, SA, iv,
  /* INIT_ACK          */ iv, CW, CW, CE, ES, SS, SR, SA, iv,
  /* ABORT             */ iv, CL, CL, CL, CL, CL, CL, CL, iv,
  /* SHUTDOWN          */ iv, CL, CW, CE, SR, SS, SR, SA, iv,
  /* SHUTDOWN_ACK      */ iv, CL, CW, CE, ES, SA, SA, SA, iv,
  /* ERROR             */ iv, CL, CW, CL, ES, SS, SR, SA, iv,
  /* COOKIE_ECHO       */ iv, CL, CE, CE, ES, SS, SR, SA, iv,
  /* COOKIE_ACK        */ iv, CL, CW, ES, ES, SS, SR, SA, iv,
  /* SHUTDOWN_COMPLETE */ iv, CL, CW, CE, ES, SS, SR, CL, iv,
  /* HEARTBEAT         */ iv, CL, CW, CE, ES, SS, SR, SA, HS,
  /* HEARTBEAT_ACK     */ iv, CL, CW, CE, ES, SS, SR, SA, ES,
]);

/** Timeouts by state, ms. */
const TIMEOUTS = memory.data<u32>([0, 10000, 3000, 3000, 210000, 3000, 3000, 3000, 30000]);

/** Row of a chunk type in the table, or ROWS for one that leaves the state. */
function rowOf(type: u32): u32 {
  switch (type) {
    case sctp.INIT: return 0;
    case sctp.INIT_ACK: return 1;
    case sctp.ABORT: return 2;
    case sctp.SHUTDOWN: return 3;
    case sctp.SHUTDOWN_ACK: return 4;
    case sctp.ERROR: return 5;
    case sctp.COOKIE_ECHO: return 6;
    case sctp.COOKIE_ACK: return 7;
    case sctp.SHUTDOWN_COMPLETE: return 8;
    case sctp.HEARTBEAT: return 9;
    case sctp.HEARTBEAT_ACK: return 10;
    default: return ROWS;
  }
}

/** What {@link scan} found: a bit per chunk type below 32, and the first chunk's flags. */
let chunks: u32 = 0;
let flagsOfFirst: u32 = 0;

// @ts-ignore: decorator
@inline
function contains(type: u32): bool {
  return (chunks & (<u32>1 << type)) != 0;
}

/** Walks the chunks; false when they are malformed or must not stand together. */
function scan(at: usize, length: u32): bool {
  chunks = 0;
  let offset = sctp.SCTP_SIZE;
  let number: u32 = 0;
  let alone = false;
  while (offset + 4 <= length) {
    const type = <u32>load<u8>(at + offset);
    const size = <u32>bswap<u16>(load<u16>(at + offset, 2));
    if (size < 4 || alone) return false;
    const first = type == sctp.COOKIE_ECHO || type == sctp.COOKIE_ACK;
    const only = type == sctp.INIT || type == sctp.INIT_ACK || type == sctp.SHUTDOWN_COMPLETE;
    if ((first || only) && number != 0) return false;
    alone = only;
    if (number == 0) flagsOfFirst = <u32>load<u8>(at + offset, 1);
    if (type < 32) chunks |= <u32>1 << type;
    number++;
    offset += (size + 3) & ~3;
  }
  return number > 0;
}

/** The tag that an INIT or INIT_ACK chunk, always the only one, asks the other side to use. */
function initTag(at: usize, length: u32): u32 {
  return length >= sctp.SCTP_SIZE + 8 ? load<u32>(at + sctp.SCTP_SIZE, 4) : 0;
}

// @ts-ignore: decorator
@inline
function tagOf(e: Entry, direction: u32): u32 {
  return direction == ORIGINAL ? sctpOf(e).tag0 : sctpOf(e).tag1;
}

function setTag(e: Entry, direction: u32, tag: u32): void {
  if (direction == ORIGINAL) sctpOf(e).tag0 = tag;
  else sctpOf(e).tag1 = tag;
}

/** Whether a packet may begin an association. */
export function canBegin(at: usize, length: u32): bool {
  if (!scan(at, length)) return false;
  if (contains(sctp.ABORT) || contains(sctp.SHUTDOWN_COMPLETE) || contains(sctp.COOKIE_ACK)) {
    return false;
  }
  if (!contains(sctp.INIT)) return true;
  return sctp.verificationTag(at) == 0 && initTag(at, length) != 0;
}

/** Sets up a new entry for its first packet. */
export function begin(e: Entry, at: usize, length: u32): void {
  scan(at, length);
  if (contains(sctp.INIT)) setTag(e, 1, initTag(at, length));
  else setTag(e, 0, sctp.verificationTag(at));
  let state = advance(NO, ORIGINAL);
  // Data of an association that was there before us: Linux keeps it as closed.
  if (state == NO) state = CL;
  setState(e, state);
  keepFor(e, load<u32>(TIMEOUTS + (<usize>state << 2)));
}

/** The state after the scanned chunks. */
function advance(state: u8, direction: u32): u8 {
  for (let type: u32 = 1; type < 15; type++) {
    if (!contains(type)) continue;
    const row = rowOf(type);
    if (row == ROWS) continue;
    state = load<u8>(TRANSITIONS + <usize>((direction * ROWS + row) * STATES + state));
    if (state == iv) break;
  }
  return state;
}

/** Moves the state on by a packet of an existing association; false when it is not part of it. */
export function track(e: Entry, direction: u32, at: usize, length: u32): bool {
  if (!scan(at, length)) return false;
  if (!tagFits(e, direction, sctp.verificationTag(at))) return false;
  const old = <u8>stateOf(e);
  const next = advance(old, direction);
  if (next == iv) return false;
  if (contains(sctp.INIT) || contains(sctp.INIT_ACK)) {
    setTag(e, 1 - direction, initTag(at, length));
  }
  setState(e, next);
  // A client that keeps trying must not keep its backend for ever.
  if (contains(sctp.INIT) && direction == ORIGINAL && old == CL && next == CL) return true;
  if (next == ES && old != ES) e.marks |= ASSURED;
  keepFor(e, load<u32>(TIMEOUTS + (<usize>next << 2)));
  return true;
}

/** Whether the association is open. */
export function isEstablished(e: Entry): bool {
  return stateOf(e) == ES;
}

function tagFits(e: Entry, direction: u32, tag: u32): bool {
  const own = tagOf(e, direction);
  if (contains(sctp.INIT)) return tag == 0;
  if (contains(sctp.ABORT) || contains(sctp.SHUTDOWN_COMPLETE)) {
    return (flagsOfFirst & 1) == 0 ? tag == own : tag == tagOf(e, 1 - direction);
  }
  const learns = contains(sctp.HEARTBEAT) || contains(sctp.HEARTBEAT_ACK) ||
    contains(sctp.COOKIE_ECHO);
  if (own == 0 && learns) {
    setTag(e, direction, tag);
    return true;
  }
  return tag == own;
}
