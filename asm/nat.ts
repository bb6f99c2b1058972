/**
 * Address translation of a connection: the reply tuple that its answers will have, unique among
 * all connections, as nf_nat_core.c finds it. Two simplifications against Linux: a source port
 * mapping is never shared between destinations, and masquerade has one address per family.
 */

import { DropReason, IpProtocol, TcpState } from "./abi";
import { randomBelow } from "./random";
import { Backend, backendAt } from "./tables/backends";
import { find, remove } from "./tables/conntrack";
import {
  addressesOf,
  ASSURED,
  assign,
  Entry,
  has,
  isNone,
  isV6,
  masqueradeOf,
  SEEN_REPLY,
  stateOf,
  tcpOf,
  timeLeft,
} from "./tables/entry";
import { masqueradeAddressAt, presentAddress } from "./tables/masquerade";
import {
  destPort,
  equal,
  familyOf,
  hash4,
  hash6,
  hashTuple,
  protocolOf,
  sourcePort,
  Tuple,
} from "./tuple";
import { udp } from "./timeouts";
import { delta } from "./wire/checksum";

let firstPort: u32 = 0;
let lastPort: u32 = 0;

/** Restricts the ports of masqueraded connections; 0, 0: Linux's classes. */
export function setMasqueradePorts(first: u32, last: u32): void {
  firstPort = first;
  lastPort = last;
}

/** Whether a packet goes to a port that only masqueraded connections may have. */
export function isMasqueradePort(t: Tuple): bool {
  if (firstPort == 0) return false;
  const number = presentAddress(familyOf(t));
  const own = masqueradeAddressAt(number);
  if (number == 0 || t.destHi != own.hi || t.destLo != own.lo) return false;
  const port = destPort(t);
  return port >= firstPort && port <= lastPort;
}

/** A reply tuple that an entry may get. */
const CANDIDATE: usize = memory.data(40, 8);

/** Hash of the reply tuple that {@link bind} gave. */
export let replyHash: u32 = 0;

/**
 * Gives an entry a backend, and a reply tuple that no other has. `o` is its original tuple, not in
 * conntrack's own place, and `hash` that tuple's: it says where the search for a port begins.
 */
// @ts-ignore: decorator
@inline
export function bind(
  e: Entry,
  o: Tuple,
  backend: u32,
  masquerade: bool,
  hash: u32,
): DropReason {
  const b = backendAt(backend);
  const number = masquerade ? presentAddress(familyOf(o)) : 0;
  assign(e, backend, number);
  if (masquerade && number == 0) return DropReason.NoMasqueradeAddress;
  const r = beginReply(o, b, number);
  if (!choosePort(e, o, b, masquerade, hash)) return DropReason.NoFreePort;
  if (isV6(e)) addressesOf(e).delta = delta(addressSum(o), addressSum(r));
  return DropReason.None;
}

/** The reply tuple but for the port. */
// @ts-ignore: decorator
@inline
function beginReply(o: Tuple, b: Backend, number: u32): Tuple {
  const r = changetype<Tuple>(CANDIDATE);
  const m = masqueradeAddressAt(number);
  r.meta = o.meta;
  r.sourceHi = b.addressHi;
  r.sourceLo = b.addressLo;
  r.destHi = number == 0 ? o.sourceHi : m.hi;
  r.destLo = number == 0 ? o.sourceLo : m.lo;
  return r;
}

/** Sum of a tuple's addresses, for checksums. */
export function addressSum(t: Tuple): u64 {
  if (familyOf(t) == 0) return (t.sourceLo >> 32) + (t.destLo >> 32);
  return (t.sourceHi & 0xffffffff) + (t.sourceHi >> 32) + (t.sourceLo & 0xffffffff) +
    (t.sourceLo >> 32) + (t.destHi & 0xffffffff) + (t.destHi >> 32) +
    (t.destLo & 0xffffffff) + (t.destLo >> 32);
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

/** Tries a port; whether it is free. */
function tryPort(e: Entry, o: Tuple, b: Backend, port: u32, evict: bool): bool {
  const r = changetype<Tuple>(CANDIDATE);
  const wire = bswap<u16>(<u16>port);
  r.ports = <u32>b.port | (<u32>wire << 16);
  replyHash = hashTuple(r);
  if (!isFree(e, o, r, evict)) return false;
  e.replyPort = wire;
  return true;
}

/** Where the search begins: by the keyed hash, so that nobody outside knows. */
// @ts-ignore: decorator
@inline
function firstOffset(hash: u32, size: u32): u32 {
  return <u32>((<u64>hash * size) >> 32);
}

/**
 * Hash of the reply tuple that a connection to the backend is likely to get, masqueraded if there is
 * a range of ports for that.
 */
// @ts-ignore: decorator
@inline
export function likelyReplyHash(t: Tuple, b: Backend, hash: u32): u32 {
  const number = firstPort == 0 ? 0 : presentAddress(familyOf(t));
  const port = number == 0
    ? t.ports << 16
    : <u32>bswap<u16>(<u16>(firstPort + firstOffset(hash, lastPort - firstPort + 1))) << 16;
  const m = masqueradeAddressAt(number);
  const ports = <u32>b.port | port, meta = t.meta;
  const destLo = number == 0 ? t.sourceLo : m.lo;
  if (meta >> 8 == 0) {
    return hash4(<u32>(b.addressLo >> 32), <u32>(destLo >> 32), ports, meta);
  }
  const destHi = number == 0 ? t.sourceHi : m.hi;
  return hash6(b.addressHi, b.addressLo, destHi, destLo, <u64>ports | (<u64>meta << 32));
}

const ATTEMPTS: u32 = 128;
const LAST_ROUND: u32 = 8;
/** So many tries of a round may evict a finished connection. */
const EVICTING: u32 = 32;

/**
 * Keeps the client's port when the reply tuple is free with it, also without masquerade: two
 * clients' connections to two Services may fall together on one backend.
 */
// @ts-ignore: decorator
@inline
function choosePort(e: Entry, o: Tuple, b: Backend, masquerade: bool, hash: u32): bool {
  const port = sourcePort(o);
  chooseRange(port, masquerade);
  const keep = !(masquerade && firstPort != 0) || (port >= rangeFirst && port <= rangeLast);
  if (keep && tryPort(e, o, b, port, false)) return true;
  const size = rangeLast - rangeFirst + 1;
  let attempts = min<u32>(size, ATTEMPTS);
  let offset = firstOffset(hash, size);
  for (;;) {
    for (let i: u32 = 0; i < attempts; i++, offset++) {
      if (tryPort(e, o, b, rangeFirst + offset % size, attempts - i <= EVICTING)) return true;
    }
    if (attempts >= size || attempts <= LAST_ROUND) return false;
    attempts = attempts > 64 ? 64 : attempts >> 1;
    offset = randomBelow(size);
  }
  return false;
}

/** Whether no other connection has the tuple; one that is over may have to give way. */
function isFree(e: Entry, o: Tuple, r: Tuple, evict: bool): bool {
  if (equal(r, o)) return false;
  const other = find(r, replyHash);
  if (isNone(other)) return true;
  if (!evict || masqueradeOf(other) == 0) return false;
  const protocol = protocolOf(r);
  const over = protocol == IpProtocol.Tcp
    ? isClosed(other, e)
    : protocol == IpProtocol.Udp && isAnswered(other);
  if (!over) return false;
  remove(other);
  return true;
}

/**
 * Whether a TCP connection is over, such that the backend takes the other's SYN for a new one: its
 * sequence number is ahead.
 */
function isClosed(e: Entry, other: Entry): bool {
  const state = stateOf(e);
  const ahead = stateOf(other) == TcpState.SynSent && <i32>(tcpOf(other).end0 - tcpOf(e).end0) > 0;
  return ahead && (state == TcpState.TimeWait || state == TcpState.Close);
}

/** So long after the last datagram of a question and answer no other is expected, ms. */
const SILENCE: u32 = 2000;

/**
 * Whether a UDP connection was a question that has its answer. Linux keeps the port for the rest of its
 * timeout; where all masqueraded connections have one small range, that is few questions a second.
 */
function isAnswered(e: Entry): bool {
  return has(e, SEEN_REPLY) && !has(e, ASSURED) && timeLeft(e) + SILENCE <= udp;
}
