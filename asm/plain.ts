/**
 * The way of most packets: TCP segments and UDP datagrams whose entry was found ahead. It does what
 * forward.ts does, in one piece and loading everything once, because a compiled module checks the
 * bounds of every load. Whatever it does not expect it leaves to forward.ts, untouched.
 */

import { DropReason, ForwardReason } from "./abi";
import * as ipvsState from "./ipvs_state";
import { KIND_FLOW, LINK_AND_KINDS, Packet, tupleOf } from "./packet";
import { drop, forward } from "./slots";
import { Backend, backendAt } from "./tables/backends";
import { remove } from "./tables/conntrack";
import {
  addressesOf,
  backendIn,
  Entry,
  entryAt,
  has,
  IN_USE,
  KIND_SCTP,
  KIND_TCP,
  KIND_V6,
  kindIn,
  masqueradeIn,
  ORIGINAL,
  REPLY,
  SEEN_REPLY,
  leftUntil,
} from "./tables/entry";
import { masqueradeAddressAt } from "./tables/masquerade";
import * as tcpState from "./tcp_state";
import { directed, rewriteHeader4, rewriteHeader6, rewriteTcp, rewriteUdp } from "./translate";
import * as udpState from "./udp_state";
import * as tcp from "./wire/tcp";

/** Handles a packet if its way is plain; otherwise nothing has changed. */
// @ts-ignore: decorator
@inline
export function handlePlain(p: Packet): bool {
  const linkAndKinds = load<u64>(changetype<usize>(p), LINK_AND_KINDS);
  const link = <u32>linkAndKinds, kinds = <u32>(linkAndKinds >> 32);
  const kind = (kinds >> 8) & 255;
  // Of a packet that is whole, and no SCTP.
  if ((kinds & 0xff0000ff) != <u32>KIND_FLOW || link == 0 || (kind & 3) == KIND_SCTP) return false;
  const e = entryAt(link >> 1);
  const at = changetype<usize>(e);
  const portsAndOwner = load<u64>(at, offsetof<Entry>("ports"));
  const expiryAndMarks = load<u64>(at, offsetof<Entry>("expiresAt"));
  const owner = <u32>(portsAndOwner >> 32), marks = <u32>(expiryAndMarks >> 32);
  const fits = (marks & IN_USE) != 0 && kindIn(owner) == kind && leftUntil(<u32>expiryAndMarks) != 0;
  if (!fits) return false;
  const dialledPorts = <u32>portsAndOwner;
  const partial = (kinds & 0xff0000) != 0;
  return kind < KIND_V6
    ? handle4(p, e, dialledPorts, marks, owner, link & 1, partial)
    : handle6(p, e, dialledPorts, marks, owner, link & 1, partial);
}

// @ts-ignore: decorator
@inline
function handle4(
  p: Packet,
  e: Entry,
  dialledPorts: u32,
  marks: u32,
  owner: u32,
  direction: u32,
  partial: bool,
): bool {
  const t = tupleOf(p);
  const oldPorts = t.ports;
  const oldFrom = <u32>(t.sourceLo >> 32), oldTo = <u32>(t.destLo >> 32);
  const b = backendAt(backendIn(owner));
  const backend = <u32>(b.addressLo >> 32);
  const replyPorts = <u32>b.port | (<u32>e.replyPort << 16);
  const number = masqueradeIn(owner);
  const ends = load<u64>(changetype<usize>(e));
  const client = <u32>ends, dialled = <u32>(ends >> 32);
  const seenAs = number == 0 ? client : <u32>(masqueradeAddressAt(number).lo >> 32);
  let from = dialled, to = client, ports = rotl<u32>(dialledPorts, 16);
  if (direction == ORIGINAL) {
    if (oldPorts != dialledPorts || oldFrom != client || oldTo != dialled) return false;
    from = seenAs;
    to = backend;
    ports = rotl<u32>(replyPorts, 16);
  } else if (oldPorts != replyPorts || oldFrom != backend || oldTo != seenAs) return false;
  const result = track(p, e, marks, owner, direction);
  if (result > tcpState.ACCEPT) return result == REFUSED;
  const change = rewriteHeader4(p.base, from, to, oldFrom, oldTo);
  finish(p, e, b, owner, ports, oldPorts, change, partial);
  return true;
}

function handle6(
  p: Packet,
  e: Entry,
  dialledPorts: u32,
  marks: u32,
  owner: u32,
  direction: u32,
  partial: bool,
): bool {
  const t = tupleOf(p);
  const oldPorts = t.ports;
  const b = backendAt(backendIn(owner));
  const a = addressesOf(e);
  const replyPorts = <u32>b.port | (<u32>e.replyPort << 16);
  const number = masqueradeIn(owner);
  const clientHi = a.sourceHi, clientLo = a.sourceLo;
  const m = masqueradeAddressAt(number);
  const seenAsHi = number == 0 ? clientHi : m.hi, seenAsLo = number == 0 ? clientLo : m.lo;
  let fromHi = a.destHi, fromLo = a.destLo, toHi = clientHi, toLo = clientLo;
  let ports = rotl<u32>(dialledPorts, 16);
  if (direction == ORIGINAL) {
    if (oldPorts != dialledPorts) return false;
    if (t.sourceLo != clientLo || t.destLo != fromLo) return false;
    if (t.sourceHi != clientHi || t.destHi != fromHi) return false;
    fromHi = seenAsHi;
    fromLo = seenAsLo;
    toHi = b.addressHi;
    toLo = b.addressLo;
    ports = rotl<u32>(replyPorts, 16);
  } else {
    if (oldPorts != replyPorts || t.sourceLo != b.addressLo || t.destLo != seenAsLo) return false;
    if (t.sourceHi != b.addressHi || t.destHi != seenAsHi) return false;
  }
  const result = track(p, e, marks, owner, direction);
  if (result > tcpState.ACCEPT) return result == REFUSED;
  rewriteHeader6(p.base, fromHi, fromLo, toHi, toLo);
  finish(p, e, b, owner, ports, oldPorts, <u64>directed(a.delta, direction), partial);
  return true;
}

/** What {@link track} found beside ACCEPT: the packet was dropped; it is for forward.ts. */
const REFUSED: u32 = 1;
const OTHER: u32 = 2;

/** Moves the connection's state on. */
// @ts-ignore: decorator
@inline
function track(p: Packet, e: Entry, marks: u32, owner: u32, direction: u32): u32 {
  if ((kindIn(owner) & 3) != KIND_TCP) {
    udpState.track(e, marks, direction);
    return tcpState.ACCEPT;
  }
  const at = p.base + p.transport;
  const word = load<u32>(at, 12);
  if (!tcpState.isPlain(marks, word)) return trackOther(p, e, direction, at);
  tcpState.trackPlain(e, marks, direction, at, word, p.transportLength);
  return tcpState.ACCEPT;
}

/** The same for a segment that begins or ends a connection. */
function trackOther(p: Packet, e: Entry, direction: u32, at: usize): u32 {
  // Without an answer it may be tried on another backend, and a reset deletes the entry.
  if (!has(e, SEEN_REPLY)) return OTHER;
  const result = tcpState.track(e, direction, at, p.transportLength);
  if (result == tcpState.INVALID) {
    drop(p.slot, DropReason.TcpInvalid);
    return REFUSED;
  }
  if (result == tcpState.REOPEN) {
    remove(e);
    return OTHER;
  }
  ipvsState.trackTcp(e, direction, tcp.flags(at));
  if (direction == REPLY) e.marks |= SEEN_REPLY;
  return tcpState.ACCEPT;
}

/** Rewrites the transport header, counts and forwards. */
// @ts-ignore: decorator
@inline
function finish(
  p: Packet,
  e: Entry,
  b: Backend,
  owner: u32,
  ports: u32,
  oldPorts: u32,
  change: u64,
  partial: bool,
): void {
  const at = p.base + p.transport;
  if ((kindIn(owner) & 3) == KIND_TCP) rewriteTcp(at, ports, oldPorts, change, partial);
  else rewriteUdp(at, ports, oldPorts, change, partial);
  const length = p.length;
  const counts = changetype<usize>(b) + offsetof<Backend>("packets");
  const one = i64x2.replace_lane(i64x2.splat(1), 1, length);
  v128.store(counts, i64x2.add(v128.load(counts), one));
  forward(p.slot, ForwardReason.Tracked, length);
}
