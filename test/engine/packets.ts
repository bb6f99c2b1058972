/**
 * Packets for tests: built from fields with right checksums, read back into fields, and checked
 * against a recomputation from scratch that shares no code with the engine.
 *
 * @module
 */

import { addressBytes, familyOf, formatAddress } from "../../src/net/address.ts";

/** TCP flags. */
export const FIN = 1, SYN = 2, RST = 4, PSH = 8, ACK = 16, URG = 32;

const HEADER = 12;
const PROTOCOLS = { TCP: 6, UDP: 17, SCTP: 132 } as const;

/** Fields of a packet with ports. */
export interface PacketSpec {
  readonly source: string;
  readonly sourcePort: number;
  readonly dest: string;
  readonly port: number;
  readonly protocol?: "TCP" | "UDP" | "SCTP";
  readonly flags?: number;
  readonly seq?: number;
  readonly ack?: number;
  readonly window?: number;
  /** TCP options, a multiple of 4 bytes. */
  readonly options?: Uint8Array;
  readonly payload?: Uint8Array;
  readonly ttl?: number;
  /** SCTP verification tag. */
  readonly verificationTag?: number;
  /** UDP: leave the checksum out. */
  readonly noChecksum?: boolean;
  /** Checksum left to the kernel: NEEDS_CSUM in the virtio-net header. */
  readonly partial?: boolean;
  /** Segment size of a super-segment; implies partial. */
  readonly gsoSize?: number;
  /** IPv4 identification, or that of an IPv6 fragment header. */
  readonly id?: number;
  /** This is the first fragment; more follow. */
  readonly moreFragments?: boolean;
}

/** What {@link parsePacket} reads. */
export interface ParsedPacket {
  readonly source: string;
  readonly dest: string;
  readonly protocol: number;
  readonly sourcePort: number;
  readonly port: number;
  readonly ttl: number;
  readonly tos: number;
  readonly dontFragment: boolean;
  /** From the transport header on. */
  readonly transport: Uint8Array;
  readonly flags: number;
  readonly seq: number;
  readonly ack: number;
  readonly window: number;
  readonly payload: Uint8Array;
}

/** Builds a packet, virtio-net header first. */
export function buildPacket(spec: PacketSpec): Uint8Array {
  const protocol = spec.protocol ?? "TCP";
  const payload = spec.payload ?? new Uint8Array(0);
  const options = spec.options ?? new Uint8Array(0);
  const sizes = { TCP: 20 + options.length, UDP: 8, SCTP: 12 };
  const transport = new Uint8Array(sizes[protocol] + payload.length);
  const view = new DataView(transport.buffer);
  view.setUint16(0, spec.sourcePort);
  view.setUint16(2, spec.port);
  transport.set(payload, sizes[protocol]);
  if (protocol === "TCP") {
    view.setUint32(4, spec.seq ?? 0);
    view.setUint32(8, spec.ack ?? 0);
    view.setUint8(12, (sizes.TCP / 4) << 4);
    view.setUint8(13, spec.flags ?? SYN);
    view.setUint16(14, spec.window ?? 64240);
    transport.set(options, 20);
  } else if (protocol === "UDP") {
    view.setUint16(4, transport.length);
  } else {
    view.setUint32(4, spec.verificationTag ?? 0);
  }
  const packet = buildIp(spec, PROTOCOLS[protocol], transport);
  finishChecksum(packet, protocol, spec);
  return packet;
}

/** Builds an IP packet around a transport header and payload, virtio-net header first. */
export function buildIp(
  spec: Pick<PacketSpec, "source" | "dest" | "ttl" | "id" | "moreFragments"> & {
    readonly fragmentOffset?: number;
  },
  protocol: number,
  transport: Uint8Array,
): Uint8Array {
  const source = addressBytes(spec.source);
  const dest = addressBytes(spec.dest);
  const offset = spec.fragmentOffset ?? 0;
  const fragmented = spec.moreFragments === true || offset > 0;
  if (familyOf(spec.source) === "IPv4") {
    const packet = new Uint8Array(HEADER + 20 + transport.length);
    const view = new DataView(packet.buffer, HEADER);
    view.setUint8(0, 0x45);
    view.setUint16(2, 20 + transport.length);
    view.setUint16(4, spec.id ?? 1);
    view.setUint16(6, fragmented ? offset / 8 | (spec.moreFragments ? 0x2000 : 0) : 0x4000);
    view.setUint8(8, spec.ttl ?? 64);
    view.setUint8(9, protocol);
    packet.set(source, HEADER + 12);
    packet.set(dest, HEADER + 16);
    view.setUint16(10, onesComplement(sumOf(packet.subarray(HEADER, HEADER + 20))));
    packet.set(transport, HEADER + 20);
    return packet;
  }
  const extension = fragmented ? 8 : 0;
  const packet = new Uint8Array(HEADER + 40 + extension + transport.length);
  const view = new DataView(packet.buffer, HEADER);
  view.setUint8(0, 0x60);
  view.setUint16(4, extension + transport.length);
  view.setUint8(6, fragmented ? 44 : protocol);
  view.setUint8(7, spec.ttl ?? 64);
  packet.set(source, HEADER + 8);
  packet.set(dest, HEADER + 24);
  if (fragmented) {
    view.setUint8(40, protocol);
    view.setUint16(42, offset | (spec.moreFragments ? 1 : 0));
    view.setUint32(44, spec.id ?? 1);
  }
  packet.set(transport, HEADER + 40 + extension);
  return packet;
}

/** Builds an ICMP error (type, code, the word behind the checksum) that quotes bytes. */
export function buildIcmpError(
  spec: { readonly source: string; readonly dest: string },
  type: number,
  code: number,
  rest: number,
  quote: Uint8Array,
): Uint8Array {
  const message = new Uint8Array(8 + quote.length);
  const view = new DataView(message.buffer);
  view.setUint8(0, type);
  view.setUint8(1, code);
  view.setUint32(4, rest);
  message.set(quote, 8);
  const v4 = familyOf(spec.source) === "IPv4";
  const packet = buildIp(spec, v4 ? 1 : 58, message);
  const at = packet.length - message.length;
  const pseudo = v4 ? 0 : pseudoSum(packet, 58, message.length);
  new DataView(packet.buffer).setUint16(at + 2, onesComplement(sumOf(message) + pseudo));
  return packet;
}

/** The IP packet in a slot's bytes. */
export function ipOf(packet: Uint8Array): Uint8Array {
  return packet.subarray(HEADER);
}

/** Reads a packet, virtio-net header first. */
export function parsePacket(packet: Uint8Array): ParsedPacket {
  const ip = ipOf(packet);
  const view = new DataView(ip.buffer, ip.byteOffset, ip.length);
  const v4 = ip[0] >> 4 === 4;
  const at = v4 ? (ip[0] & 15) * 4 : ip[6] === 44 ? 48 : 40;
  const protocol = v4 ? ip[9] : ip[6] === 44 ? ip[40] : ip[6];
  const transport = ip.subarray(at);
  const tcp = protocol === 6 && transport.length >= 20;
  return {
    source: formatAddress(v4 ? ip.subarray(12, 16) : ip.subarray(8, 24)),
    dest: formatAddress(v4 ? ip.subarray(16, 20) : ip.subarray(24, 40)),
    protocol,
    ttl: v4 ? ip[8] : ip[7],
    tos: v4 ? ip[1] : (view.getUint16(0) >> 4) & 0xff,
    dontFragment: v4 && (ip[6] & 0x40) !== 0,
    transport,
    sourcePort: transport.length >= 4 ? view.getUint16(at) : 0,
    port: transport.length >= 4 ? view.getUint16(at + 2) : 0,
    flags: tcp ? transport[13] : 0,
    seq: tcp ? view.getUint32(at + 4) : 0,
    ack: tcp ? view.getUint32(at + 8) : 0,
    window: tcp ? view.getUint16(at + 14) : 0,
    payload: tcp ? transport.subarray((transport[12] >> 4) * 4) : transport.subarray(8),
  };
}

/** "source:port > dest:port", to compare at a glance. */
export function route(packet: Uint8Array): string {
  const { source, sourcePort, dest, port } = parsePacket(packet);
  return `${source}:${sourcePort} > ${dest}:${port}`;
}

/**
 * What is wrong with the checksums of a packet, or null: each is recomputed from scratch, a partial
 * one against the pseudo header alone.
 */
export function checksumError(packet: Uint8Array): string | null {
  const ip = ipOf(packet);
  const v4 = ip[0] >> 4 === 4;
  const header = v4 ? (ip[0] & 15) * 4 : ip[6] === 44 ? 48 : 40;
  if (v4 && onesComplement(sumOf(ip.subarray(0, header))) !== 0) return "IPv4 header checksum";
  const laterFragment = v4
    ? ((ip[6] & 0x1f) | ip[7]) !== 0
    : ip[6] === 44 && (ip[42] | (ip[43] & 0xf8)) !== 0;
  if (laterFragment) return null;
  const protocol = v4 ? ip[9] : ip[6] === 44 ? ip[40] : ip[6];
  const transport = ip.subarray(header);
  const view = new DataView(packet.buffer, packet.byteOffset);
  if (protocol === 1) return onesComplement(sumOf(transport)) === 0 ? null : "ICMP checksum";
  if (protocol === 132) {
    const field = new DataView(transport.buffer, transport.byteOffset).getUint32(8, true);
    return field === crc32c(transport) ? null : "SCTP checksum";
  }
  if (protocol !== 6 && protocol !== 17 && protocol !== 58) return null;
  const pseudo = pseudoSum(packet, protocol, transport.length);
  const offset = protocol === 6 ? 16 : protocol === 17 ? 6 : 2;
  const field = new DataView(transport.buffer, transport.byteOffset).getUint16(offset);
  const partial = (packet[0] & 1) !== 0 && view.getUint16(6, true) === header;
  if (partial) return field % 0xffff === fold(pseudo) % 0xffff ? null : "partial checksum";
  if (protocol === 17 && field === 0) return null;
  return onesComplement(sumOf(transport) + pseudo) === 0
    ? null
    : `checksum of protocol ${protocol}`;
}

function finishChecksum(
  packet: Uint8Array,
  protocol: "TCP" | "UDP" | "SCTP",
  spec: PacketSpec,
): void {
  const ip = ipOf(packet);
  const header = ip[0] >> 4 === 4 ? 20 : ip[6] === 44 ? 48 : 40;
  const transport = ip.subarray(header);
  const view = new DataView(transport.buffer, transport.byteOffset, transport.length);
  if (protocol === "SCTP") {
    view.setUint32(8, crc32c(transport), true);
    return;
  }
  const offset = protocol === "TCP" ? 16 : 6;
  const pseudo = pseudoSum(packet, PROTOCOLS[protocol], transport.length);
  if (spec.partial || spec.gsoSize !== undefined) {
    view.setUint16(offset, fold(pseudo));
    const vnet = new DataView(packet.buffer);
    vnet.setUint8(0, 1);
    vnet.setUint16(6, header, true);
    vnet.setUint16(8, offset, true);
    if (spec.gsoSize !== undefined) {
      vnet.setUint8(1, protocol === "UDP" ? 5 : ip[0] >> 4 === 4 ? 1 : 4);
      vnet.setUint16(2, header + (protocol === "TCP" ? 20 : 8), true);
      vnet.setUint16(4, spec.gsoSize, true);
    }
    return;
  }
  if (protocol === "UDP" && spec.noChecksum) return;
  const sum = onesComplement(sumOf(transport) + pseudo);
  view.setUint16(offset, protocol === "UDP" && sum === 0 ? 0xffff : sum);
}

function pseudoSum(packet: Uint8Array, protocol: number, length: number): number {
  const ip = ipOf(packet);
  const addresses = ip[0] >> 4 === 4 ? ip.subarray(12, 20) : ip.subarray(8, 40);
  return sumOf(addresses) + protocol + (length >>> 16) + (length & 0xffff);
}

function sumOf(bytes: Uint8Array): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i++) sum += i & 1 ? bytes[i] : bytes[i] << 8;
  return sum;
}

function fold(sum: number): number {
  while (sum > 0xffff) sum = (sum % 0x10000) + Math.floor(sum / 0x10000);
  return sum;
}

function onesComplement(sum: number): number {
  return ~fold(sum) & 0xffff;
}

function crc32c(transport: Uint8Array): number {
  let crc = 0xffffffff;
  transport.forEach((byte, i) => {
    crc ^= i >= 8 && i < 12 ? 0 : byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  });
  return ~crc >>> 0;
}
