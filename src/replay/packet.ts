/**
 * What a replay reads of an IP packet, and how it is put in order for the engine: captures are cut,
 * padded, and lack checksums that a network card would have filled in.
 *
 * @module
 */

import type { Protocol } from "../cluster/objects.ts";
import { VNET_HEADER_SIZE } from "../engine/abi.ts";
import { formatAddress } from "../net/address.ts";

/** The ends of a packet, as bytes of the packet. */
export interface PacketEnds {
  readonly version: 4 | 6;
  readonly protocol: Protocol;
  /** Where the transport header begins. */
  readonly transport: number;
  /** The same for two packets exactly when they are of one direction of one connection. */
  readonly key: string;
  /** The key of the other direction. */
  readonly reverse: string;
}

/** A packet in order: what it is and its length with the parts that were cut off. */
export type ReadPacket =
  | { readonly kind: "flow"; readonly length: number; readonly ends: PacketEnds }
  /** An IP packet without ports: another protocol, or a later fragment. */
  | { readonly kind: "other"; readonly length: number; readonly what: string }
  /** Nothing that could be handed to an engine. */
  | { readonly kind: "unusable"; readonly what: string };

const PROTOCOLS: Readonly<Record<number, Protocol>> = { 6: "TCP", 17: "UDP", 132: "SCTP" };
/** Bytes of a transport header that an engine decides by. */
const NEEDED: Readonly<Record<Protocol, number>> = { TCP: 20, UDP: 8, SCTP: 12 };
/** Where the checksum is in a transport header. */
const CHECKSUMS: Readonly<Record<Protocol, number>> = { TCP: 16, UDP: 6, SCTP: 8 };
const NAMES: Readonly<Record<number, string>> = { 1: "ICMP", 58: "ICMPv6" };

/** VIRTIO_NET_HDR_F_NEEDS_CSUM. */
const NEEDS_CSUM = 1;
const MAX_IP = 65_535;
const IPV6_HEADER = 40;

/**
 * Reads the IP packet that begins `bytes`, of which `captured` are there; the rest is zeros. The IP
 * header's checksum is made right, and a length of 0, as segmentation offload leaves it, is filled in.
 *
 * @param onWire bytes of the packet on the wire, with padding behind it.
 */
export function readPacket(bytes: Uint8Array, captured: number, onWire: number): ReadPacket {
  const version = bytes[0] >> 4;
  if (version === 4) return readV4(bytes, captured, onWire);
  if (version === 6) return readV6(bytes, captured, onWire);
  return { kind: "unusable", what: `IP version ${version}` };
}

const CUT: ReadPacket = { kind: "unusable", what: "cut in its headers" };

function readV4(bytes: Uint8Array, captured: number, onWire: number): ReadPacket {
  const header = (bytes[0] & 0xf) * 4;
  if (captured < Math.max(header, 20)) return CUT;
  if (header < 20) return { kind: "unusable", what: "malformed" };
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (view.getUint16(2) === 0) view.setUint16(2, Math.min(onWire, MAX_IP));
  const length = view.getUint16(2);
  if (length < header || length > bytes.length) return { kind: "unusable", what: "malformed" };
  writeHeaderChecksum(view, header);
  const fragmentOffset = view.getUint16(6) & 0x1fff;
  if (fragmentOffset !== 0) return { kind: "other", length, what: "a later fragment" };
  return readTransport(bytes, captured, length, { version: 4, number: bytes[9], at: header });
}

function readV6(bytes: Uint8Array, captured: number, onWire: number): ReadPacket {
  if (captured < IPV6_HEADER) return CUT;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (view.getUint16(4) === 0) view.setUint16(4, Math.min(onWire - IPV6_HEADER, MAX_IP));
  const length = view.getUint16(4) + IPV6_HEADER;
  if (length > bytes.length) return { kind: "unusable", what: "malformed" };
  let number = bytes[6];
  let at = IPV6_HEADER;
  // Hop-by-hop options, routing, destination options, fragment (RFC 8200, 4).
  while ([0, 43, 60, 44].includes(number)) {
    if (captured < at + 8) return CUT;
    if (number === 44 && (view.getUint16(at + 2) & 0xfff8) !== 0) {
      return { kind: "other", length, what: "a later fragment" };
    }
    const size = number === 44 ? 8 : (bytes[at + 1] + 1) * 8;
    number = bytes[at];
    at += size;
  }
  return readTransport(bytes, captured, length, { version: 6, number, at });
}

function readTransport(
  bytes: Uint8Array,
  captured: number,
  length: number,
  { version, number, at }: { version: 4 | 6; number: number; at: number },
): ReadPacket {
  const protocol = PROTOCOLS[number];
  if (protocol === undefined) {
    return { kind: "other", length, what: NAMES[number] ?? `IP protocol ${number}` };
  }
  if (captured < at + NEEDED[protocol]) return CUT;
  const [addresses, size] = version === 4 ? [12, 4] : [8, 16];
  const source = endText(bytes, addresses, size, at);
  const dest = endText(bytes, addresses + size, size, at + 2);
  const mark = String.fromCharCode(number);
  const ends: PacketEnds = {
    version,
    protocol,
    transport: at,
    key: mark + source + dest,
    reverse: mark + dest + source,
  };
  return { kind: "flow", length, ends };
}

/** An address and a port as characters of one byte each. */
function endText(bytes: Uint8Array, at: number, size: number, port: number): string {
  if (size === 4) {
    return String.fromCharCode(
      bytes[at],
      bytes[at + 1],
      bytes[at + 2],
      bytes[at + 3],
      bytes[port],
      bytes[port + 1],
    );
  }
  return String.fromCharCode(...bytes.subarray(at, at + size), bytes[port], bytes[port + 1]);
}

/** Says in the virtio-net header that begins a slot that the packet's checksum is yet to be made. */
export function leaveChecksum(slot: Uint8Array, { protocol, transport }: PacketEnds): void {
  const view = new DataView(slot.buffer, slot.byteOffset, VNET_HEADER_SIZE);
  slot.fill(0, 0, VNET_HEADER_SIZE);
  view.setUint8(0, NEEDS_CSUM);
  view.setUint16(6, transport, true);
  view.setUint16(8, CHECKSUMS[protocol], true);
}

/** RFC 791, 3.1. */
function writeHeaderChecksum(view: DataView, header: number): void {
  view.setUint16(10, 0);
  let sum = 0;
  for (let at = 0; at < header; at += 2) sum += view.getUint16(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  view.setUint16(10, ~sum & 0xffff);
}

/** An address and port of a packet. */
export interface PacketEnd {
  readonly address: string;
  readonly port: number;
}

/** Source and destination of a packet. */
export function endsOf(
  bytes: Uint8Array,
  { version, transport }: PacketEnds,
): { readonly source: PacketEnd; readonly dest: PacketEnd } {
  const [at, size] = version === 4 ? [12, 4] : [8, 16];
  const port = (from: number) => bytes[from] << 8 | bytes[from + 1];
  return {
    source: { address: formatAddress(bytes.subarray(at, at + size)), port: port(transport) },
    dest: {
      address: formatAddress(bytes.subarray(at + size, at + 2 * size)),
      port: port(transport + 2),
    },
  };
}

/** The addresses and ports of a packet as they stand in it, to be put into another one. */
export function copyEnds(bytes: Uint8Array, { version, transport }: PacketEnds): Uint8Array {
  const [at, size] = version === 4 ? [12, 8] : [8, 32];
  const copy = new Uint8Array(size + 4);
  copy.set(bytes.subarray(at, at + size));
  copy.set(bytes.subarray(transport, transport + 4), size);
  return copy;
}

/**
 * Makes a packet one that goes the other way between the ends of {@link copyEnds}. Its IPv4 header
 * checksum is made right; that of its transport is not.
 */
export function writeReversedEnds(
  bytes: Uint8Array,
  { version, transport }: PacketEnds,
  ends: Uint8Array,
): void {
  const [at, size] = version === 4 ? [12, 4] : [8, 16];
  bytes.set(ends.subarray(size, 2 * size), at);
  bytes.set(ends.subarray(0, size), at + size);
  bytes.set(ends.subarray(2 * size + 2, 2 * size + 4), transport);
  bytes.set(ends.subarray(2 * size, 2 * size + 2), transport + 2);
  if (version === 4) {
    writeHeaderChecksum(new DataView(bytes.buffer, bytes.byteOffset), (bytes[0] & 0xf) * 4);
  }
}
