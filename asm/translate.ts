/** Rewriting a packet by the entry of its connection: addresses, ports, checksums. */

import { IpFamily, IpProtocol } from "./abi";
import { Packet, transportAt, tupleOf as tupleOfPacket } from "./packet";
import { Entry, ORIGINAL, tupleOf } from "./tables/conntrack";
import { familyOf, protocolOf, Tuple } from "./tuple";
import { update, updatePartial } from "./wire/checksum";
import { crc32c, SCTP_CHECKSUM } from "./wire/sctp";
import { TCP_CHECKSUM } from "./wire/tcp";
import { UDP_CHECKSUM } from "./wire/udp";

/** A checksum difference in the packet's direction: the reply's is the complement. */
// @ts-ignore: decorator
@inline
export function directed(change: u16, direction: u32): u32 {
  return direction == ORIGINAL ? <u32>change : ~<u32>change & 0xffff;
}

/**
 * Makes a packet of one direction look as the other end expects it: like the inverse of the other
 * tuple.
 */
export function translate(p: Packet, e: Entry, direction: u32): void {
  const other = tupleOf(e, 1 - direction);
  const addresses = directed(e.addressDelta, direction);
  rewriteAddresses(p, other, addresses);
  const at = transportAt(p);
  const ports = rotl<u32>(other.ports, 16);
  const protocol = protocolOf(other);
  const portsChange = load<u32>(at) != ports;
  store<u32>(at, ports);
  if (protocol == IpProtocol.Tcp) {
    rewriteChecksum(p, at + TCP_CHECKSUM, addresses, directed(e.portDelta, direction));
  } else if (protocol == IpProtocol.Udp) {
    const field = at + UDP_CHECKSUM;
    // 0 says that there is no checksum, unless the kernel is still to make it.
    if (!p.partial && load<u16>(field) == 0) return;
    rewriteChecksum(p, field, addresses, directed(e.portDelta, direction));
    if (!p.partial && load<u16>(field) == 0) store<u16>(field, 0xffff);
  } else if (portsChange && !p.partial && !p.firstFragment) {
    store<u32>(at, crc32c(at, p.transportLength), SCTP_CHECKSUM);
  }
}

// @ts-ignore: decorator
@inline
function rewriteChecksum(p: Packet, field: usize, addresses: u32, ports: u32): void {
  const old = load<u16>(field);
  store<u16>(field, p.partial ? updatePartial(old, addresses) : update(old, addresses + ports));
}

/**
 * The part that every fragment needs. `other` is the tuple that the packet is to be the inverse
 * of.
 */
export function rewriteAddresses(p: Packet, other: Tuple, change: u32): void {
  const at = p.base;
  if (familyOf(tupleOfPacket(p)) == IpFamily.V4) {
    store<u32>(at, <u32>(other.destLo >> 32), 12);
    store<u32>(at, <u32>(other.sourceLo >> 32), 16);
    store<u16>(at, update(load<u16>(at, 10), change), 10);
  } else {
    store<u64>(at, other.destHi, 8);
    store<u64>(at, other.destLo, 16);
    store<u64>(at, other.sourceHi, 24);
    store<u64>(at, other.sourceLo, 32);
  }
}
