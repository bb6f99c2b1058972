/**
 * ICMP errors about a connection: they quote a packet as it was behind the translation, and are
 * translated so that the receiver finds in the quote what it had sent (nf_nat's
 * icmp_reply_translation).
 */

import { DropReason, ForwardReason, IpFamily, IpProtocol, PassReason } from "./abi";
import { addressSum, isMasqueradePort } from "./nat";
import { region } from "./memory";
import { Packet, transportAt, tupleOf as tupleOfPacket } from "./packet";
import { drop, forward, pass } from "./slots";
import { find } from "./tables/conntrack";
import { Entry, entryAt, isNone, tupleOf } from "./tables/entry";
import { sourceIsFrontend } from "./tables/frontends";
import { familyOf, hashTuple, invert, mapped, Tuple, TUPLE_SIZE } from "./tuple";
import { delta, finish, pseudoHeader, sum, update } from "./wire/checksum";
import * as icmp from "./wire/icmp";
import * as icmpv6 from "./wire/icmpv6";
import * as ipv4 from "./wire/ipv4";
import * as ipv6 from "./wire/ipv6";
import * as tcp from "./wire/tcp";
import { UDP_CHECKSUM, UDP_SIZE } from "./wire/udp";

/** Least that an error quotes of the transport header. */
const QUOTED_TRANSPORT: u32 = 8;

let quoted: usize = 0;
let inverse: usize = 0;

export function layoutIcmpErrors(): void {
  quoted = region(TUPLE_SIZE);
  inverse = region(TUPLE_SIZE);
}

/** Where the quote's transport header is, from the start of the quote. */
let quotedTransport: u32 = 0;

/**
 * Reads the quote of `length` bytes at `at` into the quoted tuple; None, or why it can't be used.
 */
function readQuote(at: usize, length: u32, family: u32): DropReason {
  const t = changetype<Tuple>(quoted);
  let protocol: u32 = 0;
  if (family == IpFamily.V4) {
    if (length < ipv4.IPV4_SIZE || load<u8>(at) >> 4 != 4) return DropReason.IcmpMalformed;
    quotedTransport = ipv4.headerLength(at);
    if (quotedTransport < ipv4.IPV4_SIZE) return DropReason.IcmpMalformed;
    if (ipv4.fragmentOffset(at) != 0) return DropReason.IcmpMalformed;
    protocol = ipv4.protocol(at);
    t.sourceHi = 0;
    t.sourceLo = mapped(ipv4.source(at));
    t.destHi = 0;
    t.destLo = mapped(ipv4.dest(at));
  } else {
    if (length < ipv6.IPV6_SIZE || load<u8>(at) >> 4 != 6) return DropReason.IcmpMalformed;
    if (ipv6.walk(at, length) != DropReason.None) return DropReason.IcmpMalformed;
    if (ipv6.fragmentOffset != 0) return DropReason.IcmpMalformed;
    quotedTransport = ipv6.transportOffset;
    protocol = ipv6.transport;
    t.sourceHi = load<u64>(at, 8);
    t.sourceLo = load<u64>(at, 16);
    t.destHi = load<u64>(at, 24);
    t.destLo = load<u64>(at, 32);
  }
  if (quotedTransport + QUOTED_TRANSPORT > length) return DropReason.IcmpMalformed;
  t.ports = load<u32>(at + quotedTransport);
  t.meta = protocol | (family << 8);
  return DropReason.None;
}

function checksumHolds(p: Packet): bool {
  const t = tupleOfPacket(p);
  let total = sum(transportAt(p), p.transportLength);
  if (familyOf(t) == IpFamily.V6) total += pseudo(p);
  return finish(total) == 0;
}

/** Sum of the ICMPv6 pseudo header, from the header as it is now. */
function pseudo(p: Packet): u64 {
  const at = p.base;
  return pseudoHeader(
    load<u64>(at, 8),
    load<u64>(at, 16),
    load<u64>(at, 24),
    load<u64>(at, 32),
    IpFamily.V6,
    IpProtocol.Icmp6,
    p.transportLength,
  );
}

/**
 * The connection that an error is about; `direction` in conntrack is then that in which the error
 * travels. None when there is none or the error is not to be believed: the verdict is given then. An
 * error that is about none of our connections passes.
 */
export function findSubject(p: Packet): Entry {
  const none = entryAt(0);
  const at = transportAt(p);
  const family = familyOf(tupleOfPacket(p));
  if (!checksumHolds(p)) {
    drop(p.slot, DropReason.IcmpMalformed);
    return none;
  }
  const reason = readQuote(at + icmp.ICMP_SIZE, p.transportLength - icmp.ICMP_SIZE, family);
  if (reason != DropReason.None) {
    drop(p.slot, reason);
    return none;
  }
  const own = changetype<Tuple>(quoted);
  const wanted = changetype<Tuple>(inverse);
  invert(wanted, own);
  const e = find(wanted, hashTuple(wanted));
  if (isNone(e)) {
    const ours = sourceIsFrontend(own) || isMasqueradePort(wanted);
    if (ours) drop(p.slot, DropReason.IcmpUnrelated);
    else pass(p.slot, PassReason.Protocol, p.length);
    return none;
  }
  const outer = tupleOfPacket(p);
  const contradicts = outer.destHi != wanted.destHi || outer.destLo != wanted.destLo;
  const redirect = family == IpFamily.V4 && load<u8>(at) == icmp.REDIRECT;
  if (contradicts || redirect) {
    drop(p.slot, DropReason.IcmpUnrelated);
    return none;
  }
  return e;
}

/**
 * Whether the error that {@link findSubject} has read says that what it quotes cannot be delivered,
 * now or later: unreachable, but not for its size alone.
 */
export function isUnreachable(p: Packet): bool {
  const at = transportAt(p);
  const type = load<u8>(at);
  if (familyOf(tupleOfPacket(p)) == IpFamily.V6) return type == icmpv6.UNREACHABLE;
  return type == icmp.UNREACHABLE && load<u8>(at, 1) != icmp.FRAGMENTATION_NEEDED;
}

/** The sequence number in the TCP header that the error quotes; always within the quote. */
export function quotedSequence(p: Packet): u32 {
  return tcp.sequence(transportAt(p) + icmp.ICMP_SIZE + quotedTransport);
}

/** Translates the error that {@link findSubject} has read. */
export function translateError(p: Packet, e: Entry, direction: u32): void {
  const at = transportAt(p);
  const family = familyOf(tupleOfPacket(p));
  const length = p.transportLength - icmp.ICMP_SIZE;
  translateQuote(at + icmp.ICMP_SIZE, length, e, direction, family);
  translateOuter(p, e, direction);
  store<u16>(at, 0, 2);
  const total = sum(at, p.transportLength) + (family == IpFamily.V6 ? pseudo(p) : 0);
  store<u16>(at, finish(total), 2);
  forward(p.slot, ForwardReason.Related, p.length);
}

/** The quoted packet becomes what its sender had sent: the other tuple. */
function translateQuote(at: usize, length: u32, e: Entry, direction: u32, family: u32): void {
  const own = tupleOf(e, direction);
  const other = tupleOf(e, 1 - direction);
  // The quote changes from the inverse of the error's own tuple to the other one.
  const addresses = delta(addressSum(own), addressSum(other));
  const ports = delta(own.ports, other.ports);
  if (family == IpFamily.V4) {
    store<u32>(at, <u32>(other.sourceLo >> 32), 12);
    store<u32>(at, <u32>(other.destLo >> 32), 16);
    store<u16>(at, update(load<u16>(at, 10), addresses), 10);
  } else {
    store<u64>(at, other.sourceHi, 8);
    store<u64>(at, other.sourceLo, 16);
    store<u64>(at, other.destHi, 24);
    store<u64>(at, other.destLo, 32);
  }
  const transport = at + quotedTransport;
  const available = length - quotedTransport;
  store<u32>(transport, other.ports);
  const protocol = other.meta & 0xff;
  if (protocol == IpProtocol.Tcp && available >= tcp.TCP_CHECKSUM + 2) {
    const field = transport + tcp.TCP_CHECKSUM;
    store<u16>(field, update(load<u16>(field), <u64>addresses + ports));
  } else if (protocol == IpProtocol.Udp && available >= UDP_SIZE) {
    const field = transport + UDP_CHECKSUM;
    if (load<u16>(field) == 0) return;
    const sum = update(load<u16>(field), <u64>addresses + ports);
    store<u16>(field, sum == 0 ? 0xffff : sum);
  }
}

/**
 * The error itself travels like a packet of its direction; its source, some router, shows as the
 * end that stands for it, if that end is translated.
 */
function translateOuter(p: Packet, e: Entry, direction: u32): void {
  const own = tupleOf(e, direction);
  const other = tupleOf(e, 1 - direction);
  const at = p.base;
  const hidden = own.sourceLo != other.destLo || own.sourceHi != other.destHi;
  if (familyOf(own) == IpFamily.V4) {
    const before = <u64>ipv4.source(at) + ipv4.dest(at);
    store<u32>(at, <u32>(other.sourceLo >> 32), 16);
    if (hidden) store<u32>(at, <u32>(other.destLo >> 32), 12);
    const after = <u64>ipv4.source(at) + ipv4.dest(at);
    store<u16>(at, update(load<u16>(at, 10), delta(before, after)), 10);
  } else {
    store<u64>(at, other.sourceHi, 24);
    store<u64>(at, other.sourceLo, 32);
    if (hidden) {
      store<u64>(at, other.destHi, 8);
      store<u64>(at, other.destLo, 16);
    }
  }
}
