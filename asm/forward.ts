/**
 * The packet path: a batch of slots in, a verdict for each out.
 *
 * A batch goes through three passes, because Wasm has no prefetch: all packets are parsed and
 * hashed, then the memory that their lookups begin with is touched in a tight loop so that the
 * cache misses overlap, then each is looked up and rewritten.
 */

import { Counter, DropReason, EngineFlag, ForwardReason, IpProtocol, PassReason } from "./abi";
import { count } from "./counters";
import * as decision from "./decide";
import * as icmpError from "./icmp_error";
import * as ipvsState from "./ipvs_state";
import { region } from "./memory";
import { bind, isMasqueradePort } from "./nat";
import {
  KIND_FLOW,
  KIND_FRAGMENT,
  KIND_ICMP_ERROR,
  KIND_INVALID,
  Packet,
  packetOf,
  parse,
  transportAt,
  tupleOf as tupleOfPacket,
} from "./packet";
import { reject } from "./reject";
import * as retry from "./retry";
import * as sctpState from "./sctp_state";
import { drop, forward, lengthIn, pass, slotCount } from "./slots";
import { setAffinity } from "./tables/affinity";
import { backendAt } from "./tables/backends";
import {
  bucketAt,
  direction as foundDirection,
  Entry,
  find,
  giveBack,
  insert,
  isNone,
  ORIGINAL,
  remove,
  REPLY,
  SEEN_REPLY,
  take,
  tupleOf,
} from "./tables/conntrack";
import { findFragment, fragmentDirection, rememberFragment } from "./tables/fragments";
import { frontendAt, sourceIsFrontend } from "./tables/frontends";
import { keep } from "./tables/kept_syns";
import { servicePortAt } from "./tables/service_ports";
import * as tcpState from "./tcp_state";
import { rewriteAddresses, directed, translate } from "./translate";
import { familyOf, hashTuple, invert, protocolOf, Tuple, TUPLE_SIZE } from "./tuple";
import * as udpState from "./udp_state";
import { isLinkLocal } from "./wire/ipv6";
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

/** Takes part in the result, so that the touching is not optimised away. */
let touched: u32 = 0;

/** Handles `count` slots of the ring from `first` on. */
export function processBatch(first: u32, count: u32): void {
  for (let i: u32 = 0; i < count; i++) parse((first + i) % slotCount);
  let sink = touched;
  for (let i: u32 = 0; i < count; i++) {
    const p = packetOf((first + i) % slotCount);
    sink += <u32>load<u8>(bucketAt(p.hash));
  }
  touched = sink;
  for (let i: u32 = 0; i < count; i++) handle(packetOf((first + i) % slotCount));
}

function handle(p: Packet): void {
  count(Counter.Packets);
  count(Counter.Bytes, <u64>max<u32>(lengthIn(p.slot), 12) - 12);
  const kind = p.kind;
  if (kind == KIND_FLOW) handleFlow(p);
  else if (kind == KIND_INVALID) drop(p.slot, <DropReason>p.reason);
  else if (kind == KIND_ICMP_ERROR) handleIcmpError(p);
  else if (kind == KIND_FRAGMENT) handleFragment(p);
  else pass(p.slot, PassReason.Protocol, p.length);
}

function handleFlow(p: Packet): void {
  const e = find(tupleOfPacket(p), p.hash);
  if (isNone(e)) return handleNew(p);
  const direction = foundDirection;
  const at = transportAt(p);
  const protocol = protocolOf(tupleOfPacket(p));
  let result = tcpState.ACCEPT;
  let detail: ForwardReason = ForwardReason.Tracked;
  if (protocol == IpProtocol.Tcp) {
    if ((flags & EngineFlag.RetryBackends) != 0) {
      if (retry.isRefusal(e, direction, at)) {
        const tried = retry.retryRefused(p, e);
        if (tried == retry.FAILED) return drop(p.slot, DropReason.NoFreePort);
        if (tried == retry.RETRIED) return send(p, e, ORIGINAL, ForwardReason.Retried);
      } else if (retry.isRepeated(e, direction, at) && retry.retrySilent(p, e)) {
        return send(p, e, ORIGINAL, ForwardReason.Retried);
      }
    }
    result = tcpState.track(e, direction, at, p.transportLength);
    if (result == tcpState.INVALID) return drop(p.slot, DropReason.TcpInvalid);
    if (result == tcpState.REOPEN) {
      remove(e);
      return handleNew(p);
    }
    ipvsState.trackTcp(e, direction, tcp.flags(at));
  } else if (protocol == IpProtocol.Udp) {
    udpState.track(e);
  } else if (!sctpState.track(e, direction, at, p.transportLength)) {
    return drop(p.slot, DropReason.SctpInvalid);
  } else ipvsState.setActive(e, sctpState.isEstablished(e));
  if (direction == REPLY) e.status |= SEEN_REPLY;
  send(p, e, direction, detail);
  if (result == tcpState.ACCEPT_LAST) remove(e);
}

/** Rewrites and forwards a packet of a connection, and counts it for the backend. */
function send(p: Packet, e: Entry, direction: u32, detail: ForwardReason): void {
  const b = backendAt(e.backend);
  b.packets++;
  b.bytes += p.length;
  if (p.firstFragment) rememberFragment(p, e, direction);
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
      ? drop(p.slot, DropReason.FragmentUnknown)
      : pass(p.slot, PassReason.Protocol, p.length);
  }
  const direction = fragmentDirection;
  const b = backendAt(e.backend);
  b.packets++;
  b.bytes += p.length;
  rewriteAddresses(p, tupleOf(e, 1 - direction), directed(e.addressDelta, direction));
  forward(p.slot, ForwardReason.Fragment, p.length);
}

/** Whether a later fragment may be of a datagram for a Service: only such protocols are tracked. */
function isServiceFragment(p: Packet): bool {
  const protocol = protocolOf(tupleOfPacket(p));
  return protocol == IpProtocol.Tcp || protocol == IpProtocol.Udp || protocol == IpProtocol.Sctp;
}

/** A packet of no known connection. */
function handleNew(p: Packet): void {
  const t = tupleOfPacket(p);
  const action = decision.decide(t);
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
function open(p: Packet, t: Tuple, backend: u32): void {
  const e = take(p.hash);
  if (isNone(e)) return drop(p.slot, DropReason.TableFull);
  memory.copy(changetype<usize>(tupleOf(e, ORIGINAL)), changetype<usize>(t), TUPLE_SIZE);
  e.pool = <u8>decision.pool;
  e.tries = 1;
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
  const reason = bind(e, backend, decision.masquerade || hairpin || always);
  if (reason != DropReason.None) {
    giveBack(e);
    return drop(p.slot, reason);
  }
  insert(e, p.hash, hashTuple(tupleOf(e, REPLY)));
  const s = servicePortAt(b.servicePort);
  if (s.affinityMs != 0) setAffinity(b.servicePort, t.sourceHi, t.sourceLo, backend, s.affinityMs);
  const retriable = protocol == IpProtocol.Tcp && (flags & EngineFlag.RetryBackends) != 0 &&
    tcp.classify(tcp.flags(at)) == tcp.CLASS_SYN;
  if (retriable && !p.firstFragment) keep(e, p);
  send(p, e, ORIGINAL, ForwardReason.New);
}
