import assert from "node:assert/strict";
import fc from "fast-check";
import { captureFormat, readCapture } from "../../src/capture/capture.ts";
import { findIp } from "../../src/capture/link.ts";
import { CaptureError } from "../../src/capture/reader.ts";
import { ethernet, join, writePcap, writePcapng, type Written } from "./writer.ts";

/** Whole microseconds, in this century. */
const time = fc.integer({ min: 0, max: 4_000_000_000 }).chain((seconds) =>
  fc.nat({ max: 999_999 }).map((micro) => (BigInt(seconds) * 1_000_000n + BigInt(micro)) * 1000n)
);
const packet: fc.Arbitrary<Written> = fc.record({
  data: fc.uint8Array({ maxLength: 90 }),
  timeNs: time,
  more: fc.nat({ max: 2000 }),
}).map(({ data, timeNs, more }) => ({ data, timeNs, originalLength: data.length + more }));
const packets = fc.array(packet, { maxLength: 20 });

function check(file: Uint8Array, written: readonly Written[], linkTypes: readonly number[]): void {
  const read = [...readCapture(file)];
  assert.equal(read.length, written.length);
  let last = -1;
  for (const [i, { data, timeMs, originalLength, linkType, offset }] of read.entries()) {
    assert.deepEqual(data, written[i].data);
    assert.equal(originalLength, written[i].originalLength ?? data.length);
    assert.equal(linkType, linkTypes[i % linkTypes.length]);
    assert.ok(Math.abs(timeMs! - Number(written[i].timeNs / 1000n) / 1000) < 0.002, String(timeMs));
    assert.ok(offset > last);
    last = offset;
  }
}

Deno.test("pcap files are read as they were written, in both byte orders and resolutions", () => {
  fc.assert(fc.property(
    packets,
    fc.boolean(),
    fc.boolean(),
    fc.nat({ max: 300 }),
    (written, littleEndian, nanoseconds, linkType) => {
      const file = writePcap(written, { littleEndian, nanoseconds, linkType });
      assert.equal(captureFormat(file), "pcap");
      check(file, written, [linkType]);
    },
  ));
});

Deno.test("pcapng files are read as they were written, with several interfaces and sections", () => {
  fc.assert(fc.property(
    packets,
    packets,
    fc.boolean(),
    fc.constantFrom(undefined, 6, 9, 0x80 | 20, 0x80 | 30),
    fc.array(fc.nat({ max: 300 }), { minLength: 1, maxLength: 3 }),
    fc.boolean(),
    (first, second, littleEndian, resolution, linkTypes, others) => {
      const one = writePcapng(first, { littleEndian, resolution, linkTypes, others });
      assert.equal(captureFormat(one), "pcapng");
      check(one, first, linkTypes);
      const two = writePcapng(second, { littleEndian: !littleEndian, linkTypes });
      assert.equal([...readCapture(join([one, two]))].length, first.length + second.length);
    },
  ));
});

Deno.test("simple packet blocks have no time", () => {
  const written = [{ data: Uint8Array.of(1, 2, 3), timeNs: 0n }];
  const [{ data, timeMs, originalLength }] = readCapture(writePcapng(written, { simple: true }));
  assert.deepEqual([[...data], timeMs, originalLength], [[1, 2, 3], null, 3]);
});

/** Reads all of a file; the error if it is broken. */
function broken(file: Uint8Array): CaptureError | null {
  try {
    for (const packet of readCapture(file)) findIp(packet);
    return null;
  } catch (error) {
    assert.ok(error instanceof CaptureError, String(error));
    assert.ok(error.offset >= 0 && error.offset <= file.length, error.message);
    assert.match(error.message, new RegExp(`^at offset ${error.offset}: \\S.*$`));
    return error;
  }
}

Deno.test("a capture that is cut anywhere is an error that says where, but between packets", () => {
  const written = [1, 2, 3].map((n) => ({ data: new Uint8Array(n * 5), timeNs: BigInt(n) }));
  for (const file of [writePcap(written), writePcapng(written)]) {
    const whole = new Set([...readCapture(file)].map(({ offset }) => offset));
    // What comes before the first packet is a capture of none.
    if (captureFormat(file) === "pcapng") whole.add(28);
    for (let length = 1; length < file.length; length++) {
      const error = broken(file.subarray(0, length));
      assert.equal(error === null, whole.has(length), `${length}: ${error?.message}`);
    }
  }
});

Deno.test("any bytes are read, or refused with an offset", () => {
  const files = fc.oneof(
    packets.map((written) => writePcap(written)),
    packets.map((written) => writePcapng(written, { others: true })),
    fc.uint8Array({ maxLength: 100 }),
  );
  const damage = fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 6 });
  fc.assert(
    fc.property(files, damage, (file, changes) => {
      const bytes = new Uint8Array(file);
      for (const [at, value] of changes) if (bytes.length > 0) bytes[at % bytes.length] = value;
      broken(bytes);
    }),
    { numRuns: 3000 },
  );
});

for (
  const [what, edit, offset, message] of [
    ["another version", (file) => file.setUint16(4, 3, true), 4, /expected version 2/],
    ["a length beyond the file", (file) => file.setUint32(32, 999, true), 40, /cut off after 5/],
    [
      "a length beyond all bounds",
      (file) => file.setUint32(32, 1 << 30, true),
      32,
      /at most 262144/,
    ],
    [
      "a link type",
      (file) => file.setUint32(20, 105, true),
      24,
      /link type 105, expected Ethernet/,
    ],
    ["no capture", (file) => file.setUint32(0, 7, true), 0, /^at offset 0: expected a pcap or/],
  ] as [string, (file: DataView) => void, number, RegExp][]
) {
  Deno.test(`a pcap file is refused: ${what}`, () => {
    const file = writePcap([{ data: new Uint8Array(5), timeNs: 0n }]);
    edit(new DataView(file.buffer));
    const error = broken(file);
    assert.ok(error !== null);
    assert.equal(error.offset, offset, error.message);
    assert.match(error.message, message);
  });
}

for (
  const [what, edit, offset, message] of [
    ["a byte order", (file) => file.setUint32(8, 7, true), 8, /byte-order magic/],
    ["a version", (file) => file.setUint16(12, 2, true), 12, /expected version 1/],
    ["a block's length", (file) => file.setUint32(32, 13, true), 32, /a multiple of 4 from 12/],
    [
      "a block's second length",
      (file) => file.setUint32(44, 7, true),
      44,
      /length again, 20, found 7/,
    ],
    [
      "an interface",
      (file) => file.setUint32(56, 5, true),
      56,
      /interface 5, which is not described/,
    ],
    [
      "a packet's length",
      (file) => file.setUint32(68, 99, true),
      68,
      /99 bytes, expected at most 8/,
    ],
  ] as [string, (file: DataView) => void, number, RegExp][]
) {
  Deno.test(`a pcapng file is refused: ${what}`, () => {
    const file = writePcapng([{ data: new Uint8Array(5), timeNs: 0n }]);
    edit(new DataView(file.buffer));
    const error = broken(file);
    assert.ok(error !== null);
    assert.equal(error.offset, offset, error.message);
    assert.match(error.message, message);
  });
}

const FOUR = Uint8Array.of(0x45, 0, 0, 20);
const SIX = Uint8Array.of(0x60, 0, 0, 0);

for (
  const [what, linkType, frame, expected] of [
    ["Ethernet", 1, ethernet(FOUR), { at: 14 }],
    ["Ethernet with a VLAN", 1, ethernet(SIX, [0x8100]), { at: 18 }],
    ["Ethernet with two VLANs", 1, ethernet(FOUR, [0x88a8, 0x8100]), { at: 22 }],
    ["ARP", 1, join([new Uint8Array(12), Uint8Array.of(8, 6)]), { other: "ARP" }],
    ["LLDP", 1, join([new Uint8Array(12), Uint8Array.of(0x88, 0xcc)]), {
      other: "ethertype 0x88cc",
    }],
    ["a cut frame", 1, new Uint8Array(9), { other: "cut in the link layer's header" }],
    ["a cut tag", 1, ethernet(FOUR, [0x8100]).subarray(0, 16), {
      other: "cut in the link layer's header",
    }],
    ["raw IPv4", 101, FOUR, { at: 0 }],
    ["raw IPv6", 229, SIX, { at: 0 }],
    ["raw something", 101, Uint8Array.of(0x10), { other: "IP version 1" }],
    ["Linux cooked", 113, join([new Uint8Array(14), Uint8Array.of(8, 0), FOUR]), { at: 16 }],
    ["Linux cooked, version 2", 276, join([Uint8Array.of(0x86, 0xdd), new Uint8Array(18), SIX]), {
      at: 20,
    }],
    ["Linux cooked, version 2, ARP", 276, join([Uint8Array.of(8, 6), new Uint8Array(18)]), {
      other: "ARP",
    }],
    ["loopback, little endian", 0, join([Uint8Array.of(2, 0, 0, 0), FOUR]), { at: 4 }],
    ["loopback, big endian", 0, join([Uint8Array.of(0, 0, 0, 30), SIX]), { at: 4 }],
    ["loopback of OpenBSD", 108, join([Uint8Array.of(0, 0, 0, 24), SIX]), { at: 4 }],
    ["loopback of something", 108, Uint8Array.of(0, 0, 0, 7), { other: "address family 7" }],
  ] as [string, number, Uint8Array, unknown][]
) {
  Deno.test(`the IP packet in a frame: ${what}`, () => {
    const [packet] = readCapture(writePcap([{ data: frame, timeNs: 0n }], { linkType }));
    assert.deepEqual(findIp(packet), expected);
  });
}
