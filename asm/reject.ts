/**
 * Refusing a packet: the slot becomes the answer to its sender. TCP gets a reset (RFC 9293
 * 3.10.7.1), all else ICMP port unreachable (RFC 792, RFC 4443), with the fields that Linux gives
 * them.
 */

import { DropReason, IpFamily, IpProtocol, ReplyKind } from "./abi";
import { Packet, transportAt, tupleOf, vnetOf } from "./packet";
import { mayComplain, mayReset } from "./rate_limit";
import { drop, reply } from "./slots";
import { Frontend } from "./tables/frontends";
import { familyOf, protocolOf, Tuple } from "./tuple";
import { finish, pseudoHeader, sum } from "./wire/checksum";
import * as icmp from "./wire/icmp";
import * as icmpv6 from "./wire/icmpv6";
import * as ipv4 from "./wire/ipv4";
import * as ipv6 from "./wire/ipv6";
import * as tcp from "./wire/tcp";
import { datagramLength, UDP_CHECKSUM } from "./wire/udp";
import * as vnet from "./wire/vnet";

/** What Linux's errors have as type of service: internetwork control. */
const PRECEDENCE: u8 = 0xc0;
/** Longest error, RFC 1812 4.3.2.3 and RFC 4443 2.4c. */
const LONGEST_V4: u32 = 576;
const LONGEST_V6: u32 = 1280;

/** Answers a packet for a frontend that has no endpoints. */
export function reject(p: Packet, f: Frontend): void {
  const t = tupleOf(p);
  if (!mayBeWhole(p, t)) return drop(p.slot, DropReason.RejectSilent);
  if (protocolOf(t) == IpProtocol.Tcp) {
    if (tcp.flags(transportAt(p)) & tcp.RST) return drop(p.slot, DropReason.RejectSilent);
    if (!mayReset(f)) return drop(p.slot, DropReason.RejectRate);
    const length = writeReset(p, t);
    return reply(p.slot, ReplyKind.Reset, length);
  }
  if (!mayComplain(t.sourceHi, t.sourceLo)) return drop(p.slot, DropReason.RejectRate);
  const length = familyOf(t) == IpFamily.V4 ? writeUnreachable4(p, t) : writeUnreachable6(p, t);
  reply(p.slot, ReplyKind.Unreachable, length);
}

/**
 * Whether a packet's checksum holds, as far as it can be told. What comes damaged is not answered, as
 * its sender may be another (nf_reject_verify_csum in the kernel's nf_reject.h).
 */
function mayBeWhole(p: Packet, t: Tuple): bool {
  const protocol = protocolOf(t);
  if (p.partial || p.firstFragment || protocol == IpProtocol.Sctp) return true;
  const at = transportAt(p);
  if (protocol == IpProtocol.Udp && load<u16>(at, UDP_CHECKSUM) == 0) return true;
  const length = protocol == IpProtocol.Udp ? datagramLength(at) : p.transportLength;
  const covered = sum(at, length) + pseudoHeader(
    t.sourceHi,
    t.sourceLo,
    t.destHi,
    t.destLo,
    familyOf(t),
    protocol,
    length,
  );
  return finish(covered) == 0;
}

function writeReset(p: Packet, t: Tuple): u32 {
  const offending = transportAt(p);
  const flags = tcp.flags(offending);
  const acknowledged = (flags & tcp.ACK) != 0;
  const ack = tcp.acknowledgment(offending);
  const end = tcp.segmentEnd(offending, p.transportLength);
  const v4 = familyOf(t) == IpFamily.V4;
  const header = v4 ? ipv4.IPV4_SIZE : ipv6.IPV6_SIZE;
  const at = p.base + header;
  store<u32>(at, rotl<u32>(t.ports, 16));
  store<u32>(at, acknowledged ? bswap<u32>(ack) : 0, 4);
  store<u32>(at, acknowledged ? 0 : bswap<u32>(end), 8);
  store<u8>(at, 0x50, 12);
  store<u8>(at, <u8>(acknowledged ? tcp.RST : tcp.RST | tcp.ACK), 13);
  // Window, checksum, urgent pointer.
  store<u16>(at, 0, 14);
  store<u32>(at, 0, 16);
  const covered = sum(at, tcp.TCP_SIZE) + pseudoHeader(
    t.destHi,
    t.destLo,
    t.sourceHi,
    t.sourceLo,
    familyOf(t),
    IpProtocol.Tcp,
    tcp.TCP_SIZE,
  );
  store<u16>(at, finish(covered), tcp.TCP_CHECKSUM);
  writeHeader(p, t, tcp.TCP_SIZE, 0, true, <u8>IpProtocol.Tcp);
  return header + tcp.TCP_SIZE;
}

/** The IP header back to the sender, and a virtio-net header that asks for nothing. */
function writeHeader(
  p: Packet,
  t: Tuple,
  payload: u32,
  tos: u8,
  dontFragment: bool,
  protocol: u8,
): void {
  vnet.clear(vnetOf(p));
  if (familyOf(t) == IpFamily.V4) {
    const total = ipv4.IPV4_SIZE + payload;
    const from = <u32>(t.destLo >> 32);
    const to = <u32>(t.sourceLo >> 32);
    ipv4.write(p.base, total, tos, dontFragment, protocol, from, to);
  } else {
    ipv6.write(p.base, payload, protocol, t.destHi, t.destLo, t.sourceHi, t.sourceLo);
  }
}

/**
 * Moves the packet up as the quote of an error; returns the error's length with header `header`.
 */
function quote(p: Packet, header: u32, longest: u32): u32 {
  const quoted = min<u32>(p.length, longest - header - icmp.ICMP_SIZE);
  memory.copy(p.base + header + icmp.ICMP_SIZE, p.base, quoted);
  return icmp.ICMP_SIZE + quoted;
}

function writeUnreachable4(p: Packet, t: Tuple): u32 {
  const length = quote(p, ipv4.IPV4_SIZE, LONGEST_V4);
  const at = p.base + ipv4.IPV4_SIZE;
  store<u64>(at, <u64>icmp.UNREACHABLE | (<u64>icmp.PORT_UNREACHABLE << 8));
  store<u16>(at, finish(sum(at, length)), 2);
  writeHeader(p, t, length, PRECEDENCE, false, <u8>IpProtocol.Icmp);
  return ipv4.IPV4_SIZE + length;
}

function writeUnreachable6(p: Packet, t: Tuple): u32 {
  const length = quote(p, ipv6.IPV6_SIZE, LONGEST_V6);
  const at = p.base + ipv6.IPV6_SIZE;
  store<u64>(at, <u64>icmpv6.UNREACHABLE | (<u64>icmpv6.PORT_UNREACHABLE << 8));
  const covered = sum(at, length) + pseudoHeader(
    t.destHi,
    t.destLo,
    t.sourceHi,
    t.sourceLo,
    IpFamily.V6,
    IpProtocol.Icmp6,
    length,
  );
  store<u16>(at, finish(covered), 2);
  writeHeader(p, t, length, 0, true, <u8>IpProtocol.Icmp6);
  return ipv6.IPV6_SIZE + length;
}
