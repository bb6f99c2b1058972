/**
 * What the engine knows about the packet in a slot: one record per slot, filled for the whole batch
 * before any table is looked at, so that the lookups' cache misses can overlap.
 */

import { DropReason, IpFamily, IpProtocol } from "./abi";
import { region } from "./memory";
import { lengthIn, slotAt, slotCapacity, slotStride } from "./slots";
import { KIND_TCP, KIND_UDP, KIND_V6, kindOfTuple } from "./tables/entry";
import { hash4, hash6, hashTuple, mapped, Tuple } from "./tuple";
import { finish } from "./wire/checksum";
import * as icmp from "./wire/icmp";
import * as icmpv6 from "./wire/icmpv6";
import * as ipv4 from "./wire/ipv4";
import * as ipv6 from "./wire/ipv6";
import * as sctp from "./wire/sctp";
import * as tcp from "./wire/tcp";
import * as udp from "./wire/udp";
import { isPartial, VNET_SIZE } from "./wire/vnet";

/** Not to be forwarded; the reason says why. */
export const KIND_INVALID: u8 = 0;
/** Belongs to a flow by its tuple. */
export const KIND_FLOW: u8 = 1;
/** A later fragment: addresses, but no ports. */
export const KIND_FRAGMENT: u8 = 2;
/** An ICMP error that quotes another packet. */
export const KIND_ICMP_ERROR: u8 = 3;
/** Nothing that Services have. */
export const KIND_OTHER: u8 = 4;

/** Begins with the {@link Tuple} as seen on arrival. */
@unmanaged
export class Packet {
  t0: u64;
  t1: u64;
  t2: u64;
  t3: u64;
  t4: u64;
  /** Address of the IP header. */
  base: usize;
  slot: u32;
  /** Bytes of the IP packet, padding behind it left out. */
  length: u32;
  /** Offset of the transport header, and bytes from there. */
  transport: u32;
  transportLength: u32;
  /** Hash of the tuple. */
  hash: u32;
  /** The fragment's identification as it is on the wire. */
  identification: u32;
  /** Of a later fragment, bytes; of a flow see {@link frontendAhead}. */
  fragmentOffset: u32;
  /** Link to the entry that it is likely to belong to, or 0: see ahead.ts. */
  link: u32;
  kind: u8;
  /** Why it is invalid; of a flow the kind of its tuple (entry.ts). */
  reason: u8;
  /** The transport checksum is partial. */
  partial: bool;
  /** First of several fragments. */
  firstFragment: bool;
}

/** Where the link is, and above it the last four bytes, {@link Packet.kind} lowest. */
export const LINK_AND_KINDS: usize = offsetof<Packet>("link");
/** Bytes from one record to the next. */
export const PACKET_SIZE: usize = (offsetof<Packet>() + 15) & ~15;

let packets: usize = 0;

export function layoutPackets(slots: u32): void {
  packets = region(<usize>slots * PACKET_SIZE);
}

// @ts-ignore: decorator
@inline
export function packetOf(slot: u32): Packet {
  return changetype<Packet>(packets + <usize>slot * PACKET_SIZE);
}

// @ts-ignore: decorator
@inline
export function tupleOf(p: Packet): Tuple {
  return changetype<Tuple>(changetype<usize>(p));
}

/** Id of the frontend of a flow without link, or 0, as ahead.ts has found it. */
// @ts-ignore: decorator
@inline
export function frontendAhead(p: Packet): u32 {
  return p.fragmentOffset;
}

// @ts-ignore: decorator
@inline
export function setFrontendAhead(p: Packet, id: u32): void {
  p.fragmentOffset = id;
}

// @ts-ignore: decorator
@inline
export function transportAt(p: Packet): usize {
  return p.base + p.transport;
}

// @ts-ignore: decorator
@inline
export function vnetOf(p: Packet): usize {
  return p.base - VNET_SIZE;
}

function invalid(p: Packet, reason: DropReason): void {
  p.kind = KIND_INVALID;
  p.reason = <u8>reason;
}

/**
 * Reads the packets in the slots from `first` to before `end` into their records. How many bytes they
 * have.
 */
export function parseAll(first: u32, end: u32): u64 {
  let bytes: u64 = 0;
  const capacity = slotCapacity, stride = slotStride;
  let at = slotAt(first) + VNET_SIZE;
  let record = changetype<usize>(packetOf(first));
  for (let slot = first; slot < end; slot++) {
    const length = lengthIn(slot);
    bytes += <u64>max<u32>(length, VNET_SIZE) - VNET_SIZE;
    const p = changetype<Packet>(record);
    const fits = length >= LEAST && length <= capacity;
    if (!fits || !parsePlain(p, slot, at, length - VNET_SIZE)) parseAny(p, slot, length);
    at += stride;
    record += PACKET_SIZE;
  }
  return bytes;
}

// @ts-ignore: decorator
@inline
function parsePlain(p: Packet, slot: u32, at: usize, length: u32): bool {
  const first = load<u64>(at);
  return (<u32>first & 0xf0) == 0x60
    ? parsePlain6(p, slot, at, first, length)
    : parsePlain4(p, slot, at, first, length);
}

/** Reads the packet in a slot into its record. */
export function parse(slot: u32): Packet {
  parseAll(slot, slot + 1);
  return packetOf(slot);
}

/** The same for any packet. */
function parseAny(p: Packet, slot: u32, length: u32): void {
  const record = changetype<usize>(p);
  for (let i: usize = 0; i < PACKET_SIZE; i += 16) v128.store(record + i, i64x2.splat(0));
  p.slot = slot;
  p.base = slotAt(slot) + VNET_SIZE;
  if (length <= VNET_SIZE || length > slotCapacity) return invalid(p, DropReason.Malformed);
  p.length = length - VNET_SIZE;
  const version = load<u8>(p.base) >> 4;
  if (version == 4) parseV4(p);
  else if (version == 6) parseV6(p);
  else invalid(p, DropReason.Version);
}

/** Least bytes of a packet that may be plain; every slot has more than the plain headers take. */
const LEAST: u32 = VNET_SIZE + ipv4.IPV4_SIZE + udp.UDP_SIZE;

/**
 * Does what {@link parse} does for what most packets are: whole IPv4 packets with TCP or UDP, without
 * options and with nothing to complain about. It reads in few, wide loads; `first` are the first
 * eight bytes. False when the packet is something else: the record is undefined then.
 */
// @ts-ignore: decorator
@inline
function parsePlain4(p: Packet, slot: u32, at: usize, first: u64, length: u32): bool {
  const second = load<u64>(at, 8);
  const dest = load<u32>(at, 16);
  const source = <u32>(second >> 32);
  const total = <u32>bswap<u16>(<u16>(first >> 16));
  const plain = (first & 0xff3f0000000000ff) == 0x45 && total <= length &&
    ipv4.mayTravel(source, dest) && <u8>second != 0;
  if (!plain) return false;
  const covered = (first & 0xffffffff) + (first >> 32) + (second & 0xffffffff) + source + dest;
  if (finish(covered) != 0) return false;
  const protocol = <u32>(second >> 8) & 255;
  const ports = load<u32>(at, ipv4.IPV4_SIZE);
  p.t0 = 0;
  p.t1 = mapped(source);
  p.t2 = 0;
  p.t3 = mapped(dest);
  p.t4 = <u64>ports | (<u64>protocol << 32);
  const hash = hash4(source, dest, ports, protocol);
  return source != dest &&
    parsePlainTransport(p, slot, at, total, ipv4.IPV4_SIZE, protocol, ports, hash);
}

/** The same for IPv6 without extension headers; addresses that begin with zeros are not plain. */
function parsePlain6(p: Packet, slot: u32, at: usize, first: u64, length: u32): bool {
  const total = <u32>bswap<u16>(<u16>(first >> 32)) + ipv6.IPV6_SIZE;
  const sourceHi = load<u64>(at, 8), sourceLo = load<u64>(at, 16);
  const destHi = load<u64>(at, 24), destLo = load<u64>(at, 32);
  const plain = total <= length && first >> 56 != 0 && sourceHi != 0 && destHi != 0 &&
    <u8>sourceHi != 0xff && <u8>destHi != 0xff && (sourceLo != destLo || sourceHi != destHi);
  if (!plain) return false;
  const protocol = <u32>(first >> 48) & 255;
  const ports = load<u32>(at, ipv6.IPV6_SIZE);
  const tail = <u64>ports | (<u64>(protocol | (IpFamily.V6 << 8)) << 32);
  p.t0 = sourceHi;
  p.t1 = sourceLo;
  p.t2 = destHi;
  p.t3 = destLo;
  p.t4 = tail;
  const hash = hash6(sourceHi, sourceLo, destHi, destLo, tail);
  return parsePlainTransport(p, slot, at, total, ipv6.IPV6_SIZE, protocol, ports, hash);
}

// @ts-ignore: decorator
@inline
function parsePlainTransport(
  p: Packet,
  slot: u32,
  at: usize,
  total: u32,
  header: u32,
  protocol: u32,
  ports: u32,
  hash: u32,
): bool {
  const length = total - header;
  const v6 = header == ipv6.IPV6_SIZE ? KIND_V6 : 0;
  let kind = KIND_TCP;
  let checksum = tcp.TCP_CHECKSUM;
  if (protocol == IpProtocol.Tcp) {
    const word = load<u32>(at + header, 12);
    if (total < header || tcp.checkWord(word, length) != DropReason.None) return false;
  } else {
    const datagram = <u32>bswap<u16>(load<u16>(at + header, 4));
    const fits = protocol == IpProtocol.Udp && datagram >= udp.UDP_SIZE && total >= header &&
      datagram <= length;
    if (!fits) return false;
    kind = KIND_UDP;
    checksum = udp.UDP_CHECKSUM;
  }
  if ((ports & 0xffff) == 0 || ports >> 16 == 0) return false;
  const partial = <u32>isPartial(at - VNET_SIZE, header, checksum);
  const kinds = <u32>KIND_FLOW | ((kind | v6) << 8) | (partial << 16);
  // Two fields at a time; those about fragments are only read of fragments.
  const record = changetype<usize>(p);
  store<u64>(record, <u64>at | (<u64>slot << 32), offsetof<Packet>("base"));
  store<u64>(record, <u64>total | (<u64>header << 32), offsetof<Packet>("length"));
  store<u64>(record, <u64>length | (<u64>hash << 32), offsetof<Packet>("transportLength"));
  store<u64>(record, <u64>kinds << 32, LINK_AND_KINDS);
  return true;
}

function parseV4(p: Packet): void {
  const at = p.base;
  const reason = ipv4.check(at, p.length);
  if (reason != DropReason.None) return invalid(p, reason);
  p.length = ipv4.totalLength(at);
  const header = ipv4.headerLength(at);
  p.transport = header;
  p.transportLength = p.length - header;
  const t = tupleOf(p);
  t.sourceLo = mapped(ipv4.source(at));
  t.destLo = mapped(ipv4.dest(at));
  p.identification = ipv4.identification(at);
  const offset = ipv4.fragmentOffset(at);
  const more = ipv4.moreFragments(at);
  const protocol = ipv4.protocol(at);
  t.meta = protocol | (IpFamily.V4 << 8);
  if (more && (p.transportLength & 7) != 0) return invalid(p, DropReason.FragmentMalformed);
  if (offset != 0) {
    // Offset 8 would let a later fragment overwrite TCP's flags (RFC 3128).
    if (offset == 8 && protocol == IpProtocol.Tcp) return invalid(p, DropReason.FragmentMalformed);
    p.kind = KIND_FRAGMENT;
    p.fragmentOffset = offset;
    return;
  }
  p.firstFragment = more;
  parseTransport(p, protocol);
}

function parseV6(p: Packet): void {
  const at = p.base;
  let reason = ipv6.check(at, p.length);
  if (reason != DropReason.None) return invalid(p, reason);
  p.length = ipv6.payloadLength(at) + ipv6.IPV6_SIZE;
  const t = tupleOf(p);
  t.sourceHi = load<u64>(at, 8);
  t.sourceLo = load<u64>(at, 16);
  t.destHi = load<u64>(at, 24);
  t.destLo = load<u64>(at, 32);
  reason = ipv6.walk(at, p.length);
  if (reason != DropReason.None) return invalid(p, reason);
  if (!ipv6.fragmentFits(p.length)) return invalid(p, DropReason.FragmentMalformed);
  p.transport = ipv6.transportOffset;
  p.transportLength = p.length - p.transport;
  t.meta = ipv6.transport | (IpFamily.V6 << 8);
  p.identification = ipv6.identification;
  if (ipv6.fragmentOffset != 0) {
    p.kind = KIND_FRAGMENT;
    p.fragmentOffset = ipv6.fragmentOffset;
    return;
  }
  p.firstFragment = ipv6.isFragment;
  parseTransport(p, ipv6.transport);
}

function parseTransport(p: Packet, protocol: u32): void {
  const at = transportAt(p);
  const length = p.transportLength;
  const t = tupleOf(p);
  let reason = DropReason.None;
  let checksum: u32 = 0;
  if (protocol == IpProtocol.Tcp) {
    reason = tcp.check(at, length);
    checksum = tcp.TCP_CHECKSUM;
  } else if (protocol == IpProtocol.Udp) {
    reason = udp.check(at, length, p.firstFragment);
    checksum = udp.UDP_CHECKSUM;
  } else if (protocol == IpProtocol.Sctp) {
    reason = length < sctp.SCTP_SIZE ? DropReason.Malformed : DropReason.None;
    checksum = sctp.SCTP_CHECKSUM;
  } else return parseIcmp(p, protocol);
  if (reason != DropReason.None) {
    const tiny = p.firstFragment && reason == DropReason.Malformed;
    return invalid(p, tiny ? DropReason.FragmentMalformed : reason);
  }
  t.ports = load<u32>(at);
  if ((t.ports & 0xffff) == 0 || t.ports >> 16 == 0) return invalid(p, DropReason.PortZero);
  if (t.sourceLo == t.destLo && t.sourceHi == t.destHi && (t.ports & 0xffff) == t.ports >> 16) {
    return invalid(p, DropReason.Land);
  }
  p.partial = isPartial(vnetOf(p), p.transport, checksum);
  p.hash = hashTuple(t);
  p.reason = <u8>kindOfTuple(t);
  p.kind = KIND_FLOW;
}

function parseIcmp(p: Packet, protocol: u32): void {
  const family = tupleOf(p).meta >> 8;
  const own = family == IpFamily.V4
    ? protocol == IpProtocol.Icmp
    : protocol == IpProtocol.Icmp6;
  p.kind = KIND_OTHER;
  if (!own) return;
  if (p.transportLength < icmp.ICMP_SIZE) return invalid(p, DropReason.Malformed);
  const type = load<u8>(transportAt(p));
  const error = family == IpFamily.V4 ? icmp.isError(type) : icmpv6.isError(type);
  if (!error) return;
  // The rest of the quote would be in another fragment.
  if (p.firstFragment) return invalid(p, DropReason.IcmpMalformed);
  p.kind = KIND_ICMP_ERROR;
}

