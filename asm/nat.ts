/**
 * Address translation of a connection: the reply tuple that its answers will have, unique among
 * all connections, as nf_nat_core.c finds it. Two simplifications against Linux: a source port
 * mapping is never shared between destinations, and masquerade has one address per family.
 */

import { DropReason, IpProtocol, TcpState } from "./abi";
import { randomBelow } from "./random";
import { Backend, backendAt } from "./tables/backends";
import {
  Entry,
  find,
  isNone,
  MASQUERADED,
  ORIGINAL,
  remove,
  REPLY,
  tupleOf,
} from "./tables/conntrack";
import { destPort, equal, familyOf, hashTuple, protocolOf, sourcePort, Tuple } from "./tuple";
import { delta } from "./wire/checksum";

let address4: u64 = 0;
let address6Hi: u64 = 0;
let address6Lo: u64 = 0;
let has4: bool = false;
let has6: bool = false;
let firstPort: u32 = 0;
let lastPort: u32 = 0;

/** Sets, or with `present` false takes away, a family's masquerade address. */
export function setMasqueradeAddress(family: u32, present: bool, hi: u64, lo: u64): void {
  if (family == 0) {
    has4 = present;
    address4 = lo;
  } else {
    has6 = present;
    address6Hi = hi;
    address6Lo = lo;
  }
}

/** Restricts the ports of masqueraded connections; 0, 0: Linux's classes. */
export function setMasqueradePorts(first: u32, last: u32): void {
  firstPort = first;
  lastPort = last;
}

/** Whether a packet goes to a port that only masqueraded connections may have. */
export function isMasqueradePort(t: Tuple): bool {
  if (firstPort == 0) return false;
  const own = familyOf(t) == 0
    ? has4 && t.destLo == address4
    : has6 && t.destHi == address6Hi && t.destLo == address6Lo;
  if (!own) return false;
  const port = destPort(t);
  return port >= firstPort && port <= lastPort;
}

/**
 * Completes an entry whose original tuple is set: reply tuple for the backend and checksum
 * differences.
 */
export function bind(e: Entry, backend: u32, masquerade: bool): DropReason {
  const o = tupleOf(e, ORIGINAL);
  const r = tupleOf(e, REPLY);
  const b = backendAt(backend);
  e.backend = backend;
  r.meta = o.meta;
  r.sourceHi = b.addressHi;
  r.sourceLo = b.addressLo;
  if (masquerade) {
    const family = familyOf(o);
    if (!(family == 0 ? has4 : has6)) return DropReason.NoMasqueradeAddress;
    r.destHi = family == 0 ? 0 : address6Hi;
    r.destLo = family == 0 ? address4 : address6Lo;
    e.status |= MASQUERADED;
  } else {
    r.destHi = o.sourceHi;
    r.destLo = o.sourceLo;
    e.status &= ~MASQUERADED;
  }
  if (!choosePort(e, b, masquerade)) return DropReason.NoFreePort;
  e.addressDelta = delta(addressSum(o), addressSum(r));
  e.portDelta = delta(portSum(o), portSum(r));
  return DropReason.None;
}

function addressSum(t: Tuple): u64 {
  if (familyOf(t) == 0) return (t.sourceLo >> 32) + (t.destLo >> 32);
  return (t.sourceHi & 0xffffffff) + (t.sourceHi >> 32) + (t.sourceLo & 0xffffffff) +
    (t.sourceLo >> 32) + (t.destHi & 0xffffffff) + (t.destHi >> 32) +
    (t.destLo & 0xffffffff) + (t.destLo >> 32);
}

function portSum(t: Tuple): u64 {
  return <u64>(t.ports & 0xffff) + (t.ports >> 16);
}

/** The range that a source port is searched in when none is configured: its class stays. */
let rangeFirst: u32 = 0;
let rangeLast: u32 = 0;

function chooseRange(port: u32, masquerade: bool): void {
  if (masquerade && firstPort != 0) {
    rangeFirst = firstPort;
    rangeLast = lastPort;
  } else if (port < 512) {
    rangeFirst = 1;
    rangeLast = 511;
  } else if (port < 1024) {
    rangeFirst = 600;
    rangeLast = 1023;
  } else {
    rangeFirst = 1024;
    rangeLast = 65535;
  }
}

function setReplyPort(r: Tuple, b: Backend, port: u32): void {
  r.ports = <u32>b.port | (<u32>bswap<u16>(<u16>port) << 16);
}

const ATTEMPTS: u32 = 128;
const LAST_ROUND: u32 = 8;
/** So many tries of a round may evict a finished connection. */
const EVICTING: u32 = 32;

/**
 * Keeps the client's port when the reply tuple is free with it, also without masquerade: two
 * clients' connections to two Services may fall together on one backend.
 */
function choosePort(e: Entry, b: Backend, masquerade: bool): bool {
  const r = tupleOf(e, REPLY);
  const port = sourcePort(tupleOf(e, ORIGINAL));
  chooseRange(port, masquerade);
  const keep = !(masquerade && firstPort != 0) || (port >= rangeFirst && port <= rangeLast);
  if (keep) {
    setReplyPort(r, b, port);
    if (isFree(e, r, false)) return true;
  }
  const size = rangeLast - rangeFirst + 1;
  let attempts = min<u32>(size, ATTEMPTS);
  let offset = randomBelow(size);
  for (;;) {
    for (let i: u32 = 0; i < attempts; i++, offset++) {
      setReplyPort(r, b, rangeFirst + offset % size);
      if (isFree(e, r, attempts - i <= EVICTING)) return true;
    }
    if (attempts >= size || attempts <= LAST_ROUND) return false;
    attempts = attempts > 64 ? 64 : attempts >> 1;
    offset = randomBelow(size);
  }
  return false;
}

/** Whether no other connection has the tuple; one that is over may have to give way. */
function isFree(e: Entry, r: Tuple, evict: bool): bool {
  if (equal(r, tupleOf(e, ORIGINAL))) return false;
  const other = find(r, hashTuple(r));
  if (isNone(other)) return true;
  const over = protocolOf(r) == IpProtocol.Tcp && (other.status & MASQUERADED) != 0 &&
    (other.state == TcpState.TimeWait || other.state == TcpState.Close);
  // The backend accepts the new SYN only with a sequence number ahead of the old connection's.
  const ahead = e.state == TcpState.SynSent && <i32>(e.end0 - other.end0) > 0;
  if (!evict || !over || !ahead) return false;
  remove(other);
  return true;
}
