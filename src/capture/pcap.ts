/**
 * The pcap format (draft-ietf-opsawg-pcap): microseconds or nanoseconds, either byte order.
 *
 * @module
 */

import { type CapturedPacket, MAX_PACKET } from "./captured_packet.ts";
import { ByteReader, CaptureError } from "./reader.ts";

const MICROSECONDS = 0xa1b2c3d4;
const NANOSECONDS = 0xa1b23c4d;
const FILE_HEADER = 24;
const RECORD_HEADER = 16;

/** Whether a file begins as pcap files do. */
export function isPcap(file: Uint8Array): boolean {
  return file.length >= 4 && byteOrder(file) !== null;
}

function byteOrder(file: Uint8Array): { littleEndian: boolean; perSecond: number } | null {
  for (const littleEndian of [true, false]) {
    const magic = new ByteReader(file, littleEndian).u32(0);
    if (magic === MICROSECONDS) return { littleEndian, perSecond: 1e6 };
    if (magic === NANOSECONDS) return { littleEndian, perSecond: 1e9 };
  }
  return null;
}

/** The packets of a pcap file; see readCapture. */
export function* readPcap(file: Uint8Array): Generator<CapturedPacket> {
  const { littleEndian, perSecond } = byteOrder(file)!;
  const reader = new ByteReader(file, littleEndian);
  reader.need(0, FILE_HEADER, "the file header");
  const major = reader.u16(4);
  if (major !== 2) throw new CaptureError(4, `expected version 2 of the format, found ${major}`);
  // The upper bits say how long a frame check sequence is; it would be behind the IP packet.
  const linkType = reader.u32(20) & 0xffff;
  for (let at = FILE_HEADER; at < file.length;) {
    reader.need(at, RECORD_HEADER, "a record's header");
    const captured = reader.u32(at + 8);
    if (captured > MAX_PACKET) {
      throw new CaptureError(
        at + 8,
        `a packet of ${captured} bytes, expected at most ${MAX_PACKET}`,
      );
    }
    const start = at + RECORD_HEADER;
    reader.need(start, captured, "a packet");
    yield {
      offset: at,
      linkType,
      timeMs: reader.u32(at) * 1000 + reader.u32(at + 4) * 1000 / perSecond,
      data: file.subarray(start, start + captured),
      originalLength: Math.max(captured, reader.u32(at + 12)),
    };
    at = start + captured;
  }
}
