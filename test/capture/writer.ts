/** A small writer of capture files, to check the reader against. */

export interface Written {
  readonly data: Uint8Array;
  /** Nanoseconds since the epoch. */
  readonly timeNs: bigint;
  readonly originalLength?: number;
}

export interface PcapOptions {
  readonly littleEndian?: boolean;
  readonly nanoseconds?: boolean;
  readonly linkType?: number;
}

/** A pcap file. */
export function writePcap(
  packets: readonly Written[],
  options: PcapOptions = {},
): Uint8Array<ArrayBuffer> {
  const { littleEndian = true, nanoseconds = false, linkType = 1 } = options;
  const size = packets.reduce((sum, { data }) => sum + 16 + data.length, 24);
  const file = new Uint8Array(size);
  const view = new DataView(file.buffer);
  const u32 = (at: number, value: number) => view.setUint32(at, value, littleEndian);
  u32(0, nanoseconds ? 0xa1b23c4d : 0xa1b2c3d4);
  view.setUint16(4, 2, littleEndian);
  view.setUint16(6, 4, littleEndian);
  u32(16, 262_144);
  u32(20, linkType);
  let at = 24;
  for (const { data, timeNs, originalLength = data.length } of packets) {
    u32(at, Number(timeNs / 1_000_000_000n));
    u32(at + 4, Number(timeNs % 1_000_000_000n / (nanoseconds ? 1n : 1000n)));
    u32(at + 8, data.length);
    u32(at + 12, originalLength);
    file.set(data, at + 16);
    at += 16 + data.length;
  }
  return file;
}

export interface PcapngOptions {
  readonly littleEndian?: boolean;
  readonly linkTypes?: readonly number[];
  /** if_tsresol of all interfaces; microseconds when absent. */
  readonly resolution?: number;
  /** Blocks of other types between the packets. */
  readonly others?: boolean;
  readonly simple?: boolean;
}

/** A pcapng file of one section; packets take turns on its interfaces. */
export function writePcapng(
  packets: readonly Written[],
  options: PcapngOptions = {},
): Uint8Array<ArrayBuffer> {
  const { littleEndian = true, linkTypes = [1], resolution, others, simple } = options;
  const numbers = (...values: number[]) => {
    const bytes = new Uint8Array(values.length * 4);
    const view = new DataView(bytes.buffer);
    values.forEach((value, i) => view.setUint32(i * 4, value, littleEndian));
    return bytes;
  };
  const halves = (...values: number[]) => {
    const bytes = new Uint8Array(values.length * 2);
    const view = new DataView(bytes.buffer);
    values.forEach((value, i) => view.setUint16(i * 2, value, littleEndian));
    return bytes;
  };
  const padded = (data: Uint8Array) => join([data, new Uint8Array(-data.length & 3)]);
  const block = (type: number, ...parts: Uint8Array[]) => {
    const body = join(parts);
    const length = body.length + 12;
    return join([numbers(type, length), body, numbers(length)]);
  };
  const blocks = [
    block(0x0a0d0d0a, numbers(0x1a2b3c4d), halves(1, 0), numbers(0xffffffff, 0xffffffff)),
    ...linkTypes.map((linkType) =>
      block(
        1,
        halves(linkType, 0),
        numbers(0),
        ...(resolution === undefined
          ? []
          : [halves(9, 1), Uint8Array.of(resolution, 0, 0, 0), halves(0, 0)]),
      )
    ),
  ];
  const perSecond = resolution === undefined
    ? 1_000_000n
    : resolution & 0x80
    ? 1n << BigInt(resolution & 0x7f)
    : 10n ** BigInt(resolution);
  for (const [i, { data, timeNs, originalLength = data.length }] of packets.entries()) {
    if (others) blocks.push(block(0x0bad, Uint8Array.of(1, 2, 3, 4)));
    if (simple) {
      blocks.push(block(3, numbers(originalLength), padded(data)));
      continue;
    }
    const units = timeNs * perSecond / 1_000_000_000n;
    blocks.push(block(
      6,
      numbers(i % linkTypes.length, Number(units >> 32n), Number(units & 0xffffffffn)),
      numbers(data.length, originalLength),
      padded(data),
    ));
  }
  return join(blocks);
}

export function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** An Ethernet frame of an IP packet, within VLAN tags. */
export function ethernet(packet: Uint8Array, tags: readonly number[] = []): Uint8Array {
  const type = packet[0] >> 4 === 6 ? 0x86dd : 0x0800;
  const header = new Uint8Array(14 + tags.length * 4);
  const view = new DataView(header.buffer);
  tags.forEach((tag, i) => view.setUint32(12 + i * 4, tag * 0x10000 + 7));
  view.setUint16(header.length - 2, type);
  return join([header, packet]);
}
