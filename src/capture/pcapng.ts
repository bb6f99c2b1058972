/**
 * The pcapng format (draft-ietf-opsawg-pcapng): sections of either byte order, several interfaces,
 * enhanced, simple and obsolete packet blocks. Other blocks are skipped.
 *
 * @module
 */

import { type CapturedPacket, MAX_PACKET } from "./captured_packet.ts";
import { ByteReader, CaptureError } from "./reader.ts";

const SECTION = 0x0a0d0d0a;
const INTERFACE = 1;
const OBSOLETE_PACKET = 2;
const SIMPLE_PACKET = 3;
const ENHANCED_PACKET = 6;
const BYTE_ORDER_MAGIC = 0x1a2b3c4d;

/** Type and length before, and the length again behind each block. */
const BLOCK_HEADER = 8;
const BLOCK_FRAME = 12;

const OPTION_END = 0;
const OPTION_RESOLUTION = 9;
const OPTION_TIME_OFFSET = 14;

/** What an interface's packets are read with. */
interface Interface {
  readonly linkType: number;
  /** 0: no limit. */
  readonly snapLength: number;
  readonly unitsPerMs: number;
  readonly offsetMs: number;
}

/** A block's place in the file. */
interface Block {
  readonly type: number;
  readonly at: number;
  /** Its body. */
  readonly start: number;
  readonly end: number;
}

/** Whether a file begins as pcapng files do: the type of a section header is a palindrome. */
export function isPcapng(file: Uint8Array): boolean {
  return file.length >= 4 && new ByteReader(file).u32(0) === SECTION;
}

/** The packets of a pcapng file; see readCapture. */
export function* readPcapng(file: Uint8Array): Generator<CapturedPacket> {
  const reader = new ByteReader(file);
  let interfaces: Interface[] = [];
  for (let at = 0; at < file.length;) {
    const block = readBlock(reader, at);
    switch (block.type) {
      case SECTION:
        interfaces = [];
        break;
      case INTERFACE:
        interfaces.push(readInterface(reader, block));
        break;
      case ENHANCED_PACKET:
      case OBSOLETE_PACKET:
        yield readPacket(reader, block, interfaces);
        break;
      case SIMPLE_PACKET:
        yield readSimplePacket(reader, block, interfaces);
        break;
    }
    at = block.end + 4;
  }
}

/** Also takes over the byte order of a section. */
function readBlock(reader: ByteReader, at: number): Block {
  reader.need(at, BLOCK_FRAME, "a block");
  const type = reader.u32(at);
  if (type === SECTION) setByteOrder(reader, at);
  const length = reader.u32(at + 4);
  if (length < BLOCK_FRAME || length % 4 !== 0) {
    const expected = `expected a multiple of 4 from ${BLOCK_FRAME} on`;
    throw new CaptureError(at + 4, `a block of ${length} bytes, ${expected}`);
  }
  reader.need(at, length, "a block");
  const end = at + length - 4;
  const again = reader.u32(end);
  if (again !== length) {
    throw new CaptureError(end, `expected the block's length again, ${length}, found ${again}`);
  }
  const block = { type, at, start: at + BLOCK_HEADER, end };
  if (type === SECTION) {
    needBody(block, 16, "a section header");
    const major = reader.u16(block.start + 4);
    if (major !== 1) {
      throw new CaptureError(block.start + 4, `expected version 1 of the format, found ${major}`);
    }
  }
  return block;
}

function setByteOrder(reader: ByteReader, at: number): void {
  for (const littleEndian of [true, false]) {
    reader.littleEndian = littleEndian;
    if (reader.u32(at + 8) === BYTE_ORDER_MAGIC) return;
  }
  throw new CaptureError(at + 8, "expected the byte-order magic 1a2b3c4d");
}

function needBody({ at, start, end }: Block, count: number, what: string): void {
  if (end - start >= count) return;
  throw new CaptureError(at, `${what} of ${end - start} bytes, expected at least ${count}`);
}

function readInterface(reader: ByteReader, block: Block): Interface {
  needBody(block, 8, "an interface description");
  const { start, end } = block;
  let unitsPerMs = 1000;
  let offsetMs = 0;
  for (let at = start + 8; at + 4 <= end;) {
    const code = reader.u16(at);
    const length = reader.u16(at + 2);
    const value = at + 4;
    if (code === OPTION_END) break;
    if (value + length > end) {
      throw new CaptureError(at, `an option of ${length} bytes reaches beyond its block`);
    }
    if (code === OPTION_RESOLUTION && length === 1) unitsPerMs = resolution(reader.bytes[value]);
    if (code === OPTION_TIME_OFFSET && length === 8) offsetMs = Number(reader.i64(value)) * 1000;
    at = value + (length + 3 & ~3);
  }
  return {
    linkType: reader.u16(start),
    snapLength: reader.u32(start + 4),
    unitsPerMs,
    offsetMs,
  };
}

/** Units of time in a millisecond, from if_tsresol: a power of ten or, with the top bit, of two. */
function resolution(value: number): number {
  return (value & 0x80 ? 2 ** (value & 0x7f) : 10 ** value) / 1000;
}

function readPacket(
  reader: ByteReader,
  block: Block,
  interfaces: readonly Interface[],
): CapturedPacket {
  needBody(block, 20, "a packet block");
  const { at, start, end } = block;
  // The obsolete block counts drops where the upper half of the interface's number is now.
  const number = block.type === OBSOLETE_PACKET ? reader.u16(start) : reader.u32(start);
  const from = interfaceOf(interfaces, number, start);
  const units = reader.u32(start + 4) * 2 ** 32 + reader.u32(start + 8);
  const captured = reader.u32(start + 12);
  const data = dataOf(reader, start + 20, captured, end, start + 12);
  return {
    offset: at,
    linkType: from.linkType,
    timeMs: units / from.unitsPerMs + from.offsetMs,
    data,
    originalLength: Math.max(captured, reader.u32(start + 16)),
  };
}

function readSimplePacket(
  reader: ByteReader,
  block: Block,
  interfaces: readonly Interface[],
): CapturedPacket {
  needBody(block, 4, "a simple packet block");
  const { at, start, end } = block;
  const { linkType, snapLength } = interfaceOf(interfaces, 0, at);
  const originalLength = reader.u32(start);
  const captured = Math.min(originalLength, snapLength === 0 ? Infinity : snapLength);
  const data = dataOf(reader, start + 4, captured, end, start);
  return { offset: at, linkType, timeMs: null, data, originalLength };
}

function interfaceOf(interfaces: readonly Interface[], number: number, at: number): Interface {
  const found = interfaces[number];
  if (found !== undefined) return found;
  throw new CaptureError(at, `a packet of interface ${number}, which is not described before`);
}

function dataOf(
  reader: ByteReader,
  from: number,
  length: number,
  end: number,
  field: number,
): Uint8Array {
  const room = Math.min(end - from, MAX_PACKET);
  if (length <= room) return reader.bytes.subarray(from, from + length);
  throw new CaptureError(field, `a packet of ${length} bytes, expected at most ${room}`);
}
