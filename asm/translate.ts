/** Rewriting a packet by the entry of its connection: addresses, ports, checksums. */

import { IpProtocol } from "./abi";
import { Packet, transportAt, tupleOf as tupleOfPacket } from "./packet";
import { backendAt } from "./tables/backends";
import { addressesOf, backendOf, Entry, isV6, masqueradeOf, ORIGINAL } from "./tables/entry";
import { masqueradeAddressAt } from "./tables/masquerade";
import { protocolOf } from "./tuple";
import { update, updatePartial } from "./wire/checksum";
import { crc32c, SCTP_CHECKSUM } from "./wire/sctp";
import { TCP_CHECKSUM } from "./wire/tcp";
import { UDP_CHECKSUM } from "./wire/udp";

/** A checksum difference in the packet's direction: the reply's is the complement. */
// @ts-ignore: decorator
@inline
export function directed(change: u32, direction: u32): u32 {
  return direction == ORIGINAL ? change : ~change & 0xffff;
}

/** Makes a packet of one direction look as the other end expects it. */
export function translate(p: Packet, e: Entry, direction: u32): void {
  const addresses = rewriteAddresses(p, e, direction);
  const at = transportAt(p);
  const t = tupleOfPacket(p);
  const old = t.ports;
  const ports = direction == ORIGINAL
    ? <u32>e.replyPort | (<u32>backendAt(backendOf(e)).port << 16)
    : rotl<u32>(e.ports, 16);
  const protocol = protocolOf(t);
  if (protocol == IpProtocol.Tcp) {
    rewriteTcp(at, ports, old, addresses, p.partial);
  } else if (protocol == IpProtocol.Udp) {
    rewriteUdp(at, ports, old, addresses, p.partial);
  } else {
    store<u32>(at, ports);
    if (old == ports || p.partial || p.firstFragment) return;
    store<u32>(at, crc32c(at, p.transportLength), SCTP_CHECKSUM);
  }
}

/** Difference of all that the checksum covers; words of 32 bits add up as their halves do. */
// @ts-ignore: decorator
@inline
function withPorts(addresses: u64, ports: u32, old: u32): u64 {
  return addresses + (<u64>ports + (<u64>0xffffffff - old));
}

/** Rewrites ports and checksum of the TCP header at `at`. */
// @ts-ignore: decorator
@inline
export function rewriteTcp(
  at: usize,
  ports: u32,
  old: u32,
  addresses: u64,
  partial: bool,
): void {
  const field = load<u16>(at, TCP_CHECKSUM);
  store<u32>(at, ports);
  store<u16>(
    at,
    partial ? updatePartial(field, addresses) : update(field, withPorts(addresses, ports, old)),
    TCP_CHECKSUM,
  );
}

/** The same for a UDP header. */
// @ts-ignore: decorator
@inline
export function rewriteUdp(
  at: usize,
  ports: u32,
  old: u32,
  addresses: u64,
  partial: bool,
): void {
  const field = load<u16>(at, UDP_CHECKSUM);
  store<u32>(at, ports);
  if (partial) return store<u16>(at, updatePartial(field, addresses), UDP_CHECKSUM);
  // 0 says that there is no checksum.
  if (field == 0) return;
  const sum = update(field, withPorts(addresses, ports, old));
  store<u16>(at, sum == 0 ? 0xffff : sum, UDP_CHECKSUM);
}

/** The part that every fragment needs; returns the difference that it makes to checksums. */
export function rewriteAddresses(p: Packet, e: Entry, direction: u32): u64 {
  return isV6(e) ? rewrite6(p, e, direction) : rewrite4(p, e, direction);
}

/** Rewrites the addresses of the IPv4 header at `at`, whose own ones are the old ones. */
// @ts-ignore: decorator
@inline
export function rewriteHeader4(at: usize, from: u32, to: u32, oldFrom: u32, oldTo: u32): u64 {
  const change = <u64>from + to + (0x1fffffffe - oldFrom - oldTo);
  const field = load<u16>(at, 10);
  store<u64>(at, <u64>from | (<u64>to << 32), 12);
  store<u16>(at, update(field, change), 10);
  return change;
}

function rewrite4(p: Packet, e: Entry, direction: u32): u64 {
  let from = e.dest, to = e.source;
  if (direction == ORIGINAL) {
    const number = masqueradeOf(e);
    from = number == 0 ? e.source : <u32>(masqueradeAddressAt(number).lo >> 32);
    to = <u32>(backendAt(backendOf(e)).addressLo >> 32);
  }
  const t = tupleOfPacket(p);
  return rewriteHeader4(p.base, from, to, <u32>(t.sourceLo >> 32), <u32>(t.destLo >> 32));
}

function rewrite6(p: Packet, e: Entry, direction: u32): u64 {
  const a = addressesOf(e);
  if (direction == ORIGINAL) {
    const b = backendAt(backendOf(e));
    const number = masqueradeOf(e);
    const m = masqueradeAddressAt(number);
    const hi = number == 0 ? a.sourceHi : m.hi, lo = number == 0 ? a.sourceLo : m.lo;
    rewriteHeader6(p.base, hi, lo, b.addressHi, b.addressLo);
  } else rewriteHeader6(p.base, a.destHi, a.destLo, a.sourceHi, a.sourceLo);
  return <u64>directed(a.delta, direction);
}

/** Rewrites the addresses of the IPv6 header at `at`. */
// @ts-ignore: decorator
@inline
export function rewriteHeader6(at: usize, fromHi: u64, fromLo: u64, toHi: u64, toLo: u64): void {
  store<u64>(at, fromHi, 8);
  store<u64>(at, fromLo, 16);
  store<u64>(at, toHi, 24);
  store<u64>(at, toLo, 32);
}
