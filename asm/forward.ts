/**
 * The packet path: a batch of slots in, a verdict for each out.
 *
 * All packets of a batch are parsed and hashed, then what they need of the tables is touched, so
 * that cache misses overlap (ahead.ts), then each is looked up and rewritten.
 */

import { Counter, DropReason, EngineFlag, ForwardReason, IpFamily, IpProtocol, PassReason, PoolKind } from "./abi";
import { count } from "./counters";
import { touch } from "./ahead";
import * as decision from "./decide";
import * as icmpError from "./icmp_error";
import * as ipvsState from "./ipvs_state";
import { region } from "./memory";
import { bind, isMasqueradePort, replyHash } from "./nat";
import {
  frontendAhead,
  KIND_FLOW,
  KIND_FRAGMENT,
  KIND_ICMP_ERROR,
  KIND_INVALID,
  Packet,
  PACKET_SIZE,
  packetOf,
  parseAll,
  transportAt,
  tupleOf as tupleOfPacket,
} from "./packet";
import { handlePlain } from "./plain";
import { reject } from "./reject";
import * as retry from "./retry";
import * as sctpState from "./sctp_state";
import { drop, forward, pass, slotCount } from "./slots";
import { setAffinity } from "./tables/affinity";
import { backendAt } from "./tables/backends";
import {
  direction as foundDirection,
  find,
  findLikely,
  giveBack,
  insert,
  remove,
  take,
} from "./tables/conntrack";
import {
  backendOf,
  Entry,
  isNone,
  isWaiting,
  LOCAL_POOL,
  ORIGINAL,
  REPLY,
  SEEN_REPLY,
  tcpOf,
} from "./tables/entry";
import { findFragment, fragmentDirection, fragmentRefusal, rememberFragment } from "./tables/fragments";
import { findFrontend, frontendAt, sourceIsFrontend } from "./tables/frontends";
import { keep } from "./tables/kept_syns";
import { servicePortAt } from "./tables/service_ports";
import * as tcpState from "./tcp_state";
import { rewriteAddresses, translate } from "./translate";
import { familyOf, hashTuple, invert, protocolOf, Tuple, TUPLE_SIZE } from "./tuple";
import * as udpState from "./udp_state";
import { isExtension, isLinkLocal } from "./wire/ipv6";
import * as tcp from "./wire/tcp";

let flags: u32 = 0;
let inverse: usize = 0;

export function layoutForward(): void {
  inverse = region(TUPLE_SIZE);
}

/** Sets EngineFlag bits. */
export function setFlags(bits: u32): void {
  flags = bits;
}

/** Handles `count` slots of the ring from `first` on. */
export function processBatch(first: u32, number: u32): void {
  const end = first + number;
  const around = end > slotCount;
  const last = around ? slotCount : end;
  // The ring's end first, then its beginning; each is a plain range of slots.
  let bytes = parseAll(first, last);
  if (around) bytes += parseAll(0, end - slotCount);
  touch(first, last);
  if (around) touch(0, end - slotCount);
  handleAll(first, last);
  if (around) handleAll(0, end - slotCount);
  count(Counter.Packets, number);
  count(Counter.Bytes, bytes);
}

function handleAll(first: u32, end: u32): void {
  const behind = changetype<usize>(packetOf(end));
  for (let at = changetype<usize>(packetOf(first)); at < behind; at += PACKET_SIZE) {
    const p = changetype<Packet>(at);
    if (!handlePlain(p)) handle(p);
  }
}

function handle(p: Packet): void {
  const kind = p.kind;
  if (kind == KIND_FLOW) handleFlow(p);
  else if (kind == KIND_INVALID) drop(p.slot, <DropReason>p.reason);
  else if (kind == KIND_ICMP_ERROR) handleIcmpError(p);
  else if (kind == KIND_FRAGMENT) handleFragment(p);
  else pass(p.slot, PassReason.Protocol, p.length);
}

function handleFlow(p: Packet): void {
  const e = findLikely(p.link, tupleOfPacket(p), p.hash);
  if (isNone(e)) return handleNew(p);
  const direction = foundDirection;
  const protocol = protocolOf(tupleOfPacket(p));
  if (protocol == IpProtocol.Tcp) {
    const at = transportAt(p);
    const word = load<u32>(at, 12);
    const marks = e.marks;
    if (!tcpState.isPlain(marks, word)) return handleTcp(p, e, direction);
    tcpState.trackPlain(e, marks, direction, at, word, p.transportLength);
  } else if (protocol == IpProtocol.Udp) {
    udpState.track(e, e.marks, direction);
  } else if (!sctpState.track(e, direction, transportAt(p), p.transportLength)) {
    return drop(p.slot, DropReason.SctpInvalid);
  } else ipvsState.setActive(e, sctpState.isEstablished(e));
  if (direction == REPLY) e.marks |= SEEN_REPLY;
  send(p, e, direction, ForwardReason.Tracked);
}

/** A segment that begins, ends or disturbs a TCP connection. */
function handleTcp(p: Packet, e: Entry, direction: u32): void {
  const at = transportAt(p);
  if ((flags & EngineFlag.RetryBackends) != 0 && isWaiting(e)) {
    if (retry.isRefusal(e, direction, at)) {
      const tried = retry.retryRefused(p, e);
      if (tried == retry.FAILED) return drop(p.slot, DropReason.NoFreePort);
      if (tried == retry.RETRIED) return send(p, e, ORIGINAL, ForwardReason.Retried);
    } else if (retry.isRepeated(direction, at) && retry.retrySilent(p, e)) {
      return send(p, e, ORIGINAL, ForwardReason.Retried);
    }
  }
  const result = tcpState.track(e, direction, at, p.transportLength);
  if (result == tcpState.INVALID) return drop(p.slot, DropReason.TcpInvalid);
  if (result == tcpState.REOPEN) {
    remove(e);
    return handleNew(p);
  }
  ipvsState.trackTcp(e, direction, tcp.flags(at));
  if (direction == REPLY) e.marks |= SEEN_REPLY;
  send(p, e, direction, ForwardReason.Tracked);
  if (result == tcpState.ACCEPT_LAST) remove(e);
}

/** Rewrites and forwards a packet of a connection, and counts it for the backend. */
function send(p: Packet, e: Entry, direction: u32, detail: ForwardReason): void {
  const b = backendAt(backendOf(e));
  b.packets++;
  b.bytes += p.length;
  if (p.firstFragment && !rememberFragment(p, e, direction)) {
    return drop(p.slot, DropReason.FragmentOverlap);
  }
  translate(p, e, direction);
  forward(p.slot, detail, p.length);
}

function handleIcmpError(p: Packet): void {
  const e = icmpError.findSubject(p);
  if (isNone(e)) return;
  const direction = foundDirection;
  const refused = (flags & EngineFlag.RetryBackends) != 0 && icmpError.isUnreachable(p) &&
    retry.isUndeliverable(e, direction, icmpError.quotedSequence(p));
  if (refused) {
    const tried = retry.retryRefused(p, e);
    if (tried == retry.FAILED) return drop(p.slot, DropReason.NoFreePort);
    if (tried == retry.RETRIED) return send(p, e, ORIGINAL, ForwardReason.Retried);
  }
  icmpError.translateError(p, e, direction);
}

function handleFragment(p: Packet): void {
  const e = findFragment(p);
  if (isNone(e)) {
    return isServiceFragment(p)
      ? drop(p.slot, fragmentRefusal)
      : pass(p.slot, PassReason.Protocol, p.length);
  }
  const direction = fragmentDirection;
  const b = backendAt(backendOf(e));
  b.packets++;
  b.bytes += p.length;
  rewriteAddresses(p, e, direction);
  forward(p.slot, ForwardReason.Fragment, p.length);
}

/**
 * Whether a later fragment may be of a datagram for a Service: only such protocols are tracked, and
 * options may hide one.
 */
function isServiceFragment(p: Packet): bool {
  const t = tupleOfPacket(p);
  const protocol = protocolOf(t);
  if (familyOf(t) == IpFamily.V6 && isExtension(protocol)) return true;
  return protocol == IpProtocol.Tcp || protocol == IpProtocol.Udp || protocol == IpProtocol.Sctp;
}

/** A packet of no known connection. */
function handleNew(p: Packet): void {
  const t = tupleOfPacket(p);
  const frontend = p.link == 0 ? frontendAhead(p) : findFrontend(t);
  const action = decision.decideAt(frontend, t);
  if (action == decision.NO_FRONTEND) return handleForeign(p, t);
  if (action == decision.OUT_OF_RANGE) return drop(p.slot, DropReason.SourceRange);
  if (action == decision.DROP) return drop(p.slot, DropReason.NoLocalEndpoint);
  const f = frontendAt(decision.frontend);
  if (action == decision.REJECT) return reject(p, f);
  if (familyOf(t) == 1 && isLinkLocal(t.sourceHi)) return drop(p.slot, DropReason.Source);
  if (sourceIsFrontend(t)) return drop(p.slot, DropReason.SourceIsService);
  const reason = canBegin(p, t);
  if (reason != DropReason.None) return drop(p.slot, reason);
  const backend = decision.choose(t);
  if (backend == 0) return reject(p, f);
  open(p, t, backend);
}

/** A packet for no Service. */
function handleForeign(p: Packet, t: Tuple): void {
  if (isMasqueradePort(t)) return drop(p.slot, DropReason.NoConnection);
  // Its answers would be taken for those of a connection that we translate.
  const answer = changetype<Tuple>(inverse);
  invert(answer, t);
  if (!isNone(find(answer, hashTuple(answer)))) return drop(p.slot, DropReason.Clash);
  pass(p.slot, PassReason.NoFrontend, p.length);
}

// @ts-ignore: decorator
@inline
function canBegin(p: Packet, t: Tuple): DropReason {
  const protocol = protocolOf(t);
  const at = transportAt(p);
  if (protocol == IpProtocol.Tcp) {
    return tcpState.canBegin(tcp.classify(tcp.flags(at))) ? DropReason.None : DropReason.TcpNotSyn;
  }
  if (protocol == IpProtocol.Sctp && !sctpState.canBegin(at, p.transportLength)) {
    return DropReason.SctpInvalid;
  }
  return DropReason.None;
}

/** Begins a connection to a backend and sends its first packet on. */
// @ts-ignore: decorator
@inline
function open(p: Packet, t: Tuple, backend: u32): void {
  const e = take(t, p.hash);
  if (isNone(e)) return drop(p.slot, DropReason.TableFull);
  if (decision.pool == PoolKind.Local) e.marks |= LOCAL_POOL;
  const at = transportAt(p);
  const protocol = protocolOf(t);
  if (protocol == IpProtocol.Tcp) {
    tcpState.begin(e, at, p.transportLength);
    ipvsState.beginTcp(e, tcp.flags(at));
  } else if (protocol == IpProtocol.Udp) udpState.begin(e);
  else sctpState.begin(e, at, p.transportLength);
  const b = backendAt(backend);
  const hairpin = b.addressLo == t.sourceLo && b.addressHi == t.sourceHi;
  const always = (flags & EngineFlag.MasqueradeAlways) != 0;
  const reason = bind(e, t, backend, decision.masquerade || hairpin || always, p.hash);
  if (reason != DropReason.None) {
    giveBack(e);
    return drop(p.slot, reason);
  }
  insert(e, p.hash, replyHash);
  const s = servicePortAt(b.servicePort);
  if (s.affinityMs != 0) setAffinity(b.servicePort, t.sourceHi, t.sourceLo, backend, s.affinityMs);
  if ((flags & EngineFlag.RetryBackends) != 0 && isWaiting(e)) {
    tcpOf(e).end1 = 1;
    if (!p.firstFragment) keep(e, p);
  }
  send(p, e, ORIGINAL, ForwardReason.New);
}
