import assert from "node:assert/strict";
import fc from "fast-check";
import {
  attributes,
  nested,
  rawAttributes,
  repeated,
  type ValuesOf,
} from "../../src/netlink/attribute.ts";
import {
  address,
  be16,
  be32,
  be64,
  bytes,
  flag,
  hardwareAddress,
  i32,
  netOrder,
  string,
  u16,
  u32,
  u64,
  u8,
} from "../../src/netlink/codec.ts";
import { NetlinkError } from "../../src/netlink/error.ts";
import { Writer } from "../../src/netlink/writer.ts";
import { formatAddress } from "../../src/net/address.ts";

const ELEMENT = attributes({
  ip: [1, address],
  port: [4, netOrder(be16)],
  timeout: [6, netOrder(be32)],
});
const SET = attributes({
  one: [1, u8],
  two: [2, u16],
  four: [3, u32],
  eight: [4, u64],
  net2: [5, be16],
  net4: [6, be32],
  net8: [7, be64],
  signed: [8, i32],
  text: [9, string],
  raw: [10, bytes],
  present: [11, flag],
  ip: [12, address],
  mac: [13, hardwareAddress],
  data: [14, nested(ELEMENT)],
  list: [15, repeated(nested(ELEMENT))],
});
type SetValues = ValuesOf<typeof SET>;

function encode(values: SetValues): Uint8Array {
  const out = new Writer(8);
  SET.write(out, values);
  return out.written;
}

const text = fc.string({ unit: "grapheme", maxLength: 40 }).filter((s) => !s.includes("\0"));
const ip = fc.oneof(
  fc.uint8Array({ minLength: 4, maxLength: 4 }),
  // Addresses that are IPv4 ones mapped into IPv6 become those 4 bytes.
  fc.uint8Array({ minLength: 16, maxLength: 16 }).filter((b) => formatAddress(b).includes(":")),
).map(formatAddress);
const element = fc.record({
  ip,
  port: fc.nat(0xffff),
  timeout: fc.nat(0xffffffff),
}, { requiredKeys: [], noNullPrototype: true });
const values = fc.record({
  one: fc.nat(0xff),
  two: fc.nat(0xffff),
  four: fc.integer({ min: 0, max: 0xffffffff }),
  eight: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  net2: fc.nat(0xffff),
  net4: fc.integer({ min: 0, max: 0xffffffff }),
  net8: fc.bigInt({ min: 0n, max: (1n << 64n) - 1n }),
  signed: fc.integer({ min: -0x80000000, max: 0x7fffffff }),
  text,
  raw: fc.uint8Array({ maxLength: 60 }),
  present: fc.constant(true as const),
  ip,
  mac: fc.uint8Array({ minLength: 6, maxLength: 6 })
    .map((b) => Array.from(b, (x) => x.toString(16).padStart(2, "0")).join(":")),
  data: element,
  list: fc.array(element, { minLength: 1, maxLength: 5 }),
}, { requiredKeys: [], noNullPrototype: true });

Deno.test("attributes: what is written is read back", () => {
  fc.assert(
    fc.property(values, (given) => {
      const written = encode(given);
      assert.equal(written.length % 4, 0);
      assert.deepEqual(normal(SET.read(written)), normal(given));
    }),
    { numRuns: 500 },
  );
});

/** Plain arrays for byte arrays, whose prototypes differ in kind of buffer. */
function normal(given: SetValues): unknown {
  return {
    ...given,
    raw: given.raw && Array.from(given.raw),
    data: given.data && { ...given.data },
  };
}

Deno.test("attributes: the bytes are those of the kernel's format", () => {
  assert.equal(encode({ two: 0x1234 }).toHex(), "0600020034120000");
  assert.equal(encode({ net2: 0x1234 }).toHex(), "0600050012340000");
  assert.equal(encode({ text: "lo" }).toHex(), "070009006c6f0000");
  assert.equal(encode({ present: true }).toHex(), "04000b00");
  assert.equal(encode({ signed: -2 }).toHex(), "08000800feffffff");
  // NLA_F_NESTED on the nest, NLA_F_NET_BYTEORDER on the number.
  assert.equal(
    encode({ data: { ip: "192.0.2.1", port: 80 } }).toHex(),
    "14000e80" + "08000100c0000201" + "0600044000500000",
  );
  assert.equal(
    encode({ list: [{ port: 1 }, { port: 2 }] }).toHex(),
    "0c000f80" + "0600044000010000" + "0c000f80" + "0600044000020000",
  );
});

Deno.test("attributes: those not described are left out, and flag bits are no part of numbers", () => {
  const read = SET.read(Uint8Array.fromHex("0800630001020304" + "0500018007000000"));
  assert.deepEqual(read, { one: 7 });
  const raw = [...rawAttributes(Uint8Array.fromHex("0800630001020304" + "05000180070000"))];
  assert.deepEqual(raw.map(({ id, offset, payload }) => [id, offset, payload.toHex()]), [
    [0x63, 0, "01020304"],
    [1, 8, "07"],
  ]);
});

Deno.test("attributes: values that do not fit are refused, not cut", () => {
  assert.throws(() => encode({ one: 256 }), RangeError);
  assert.throws(() => encode({ two: -1 }), RangeError);
  assert.throws(() => encode({ four: 1.5 }), RangeError);
  assert.throws(() => encode({ eight: 1n << 64n }), RangeError);
  assert.throws(() => encode({ signed: 0x80000000 }), RangeError);
  assert.throws(() => encode({ text: "a\0b" }), TypeError);
  assert.throws(() => encode({ ip: "300.0.0.1" }), TypeError);
  assert.throws(() => encode({ mac: "02:00" + ":0" }), TypeError);
  assert.throws(() => encode({ raw: new Uint8Array(0xfffc) }), RangeError);
  assert.equal(encode({ raw: new Uint8Array(0xfffb) }).length, 0x10000);
});

Deno.test("attributes: hostile lengths are refused", () => {
  const refused: Record<string, string> = {
    "shorter than its header": "03000100",
    "of no length": "00000100",
    "longer than the bytes": "0900010000000000",
    "a nest whose attribute leaves it": "0c000e80" + "0900010001020304",
    "a number of the wrong size": "0500030001000000",
    "an address of 5 bytes": "09000c000102030405000000",
  };
  for (const [what, hex] of Object.entries(refused)) {
    assert.throws(
      () => SET.read(Uint8Array.fromHex(hex)),
      (error) => error instanceof NetlinkError && error.code === "EBADMSG",
      what,
    );
  }
});

Deno.test("attributes: any bytes are read or refused, never anything else", () => {
  const plausible = fc.array(
    fc.tuple(
      fc.nat(24),
      fc.nat(18),
      fc.constantFrom(0, 0x40, 0x80),
      fc.uint8Array({ maxLength: 24 }),
    ),
    { maxLength: 8 },
  ).map((parts) =>
    Uint8Array.from(parts.flatMap(([length, id, bits, rest]) => [length, 0, id, bits, ...rest]))
  );
  fc.assert(
    fc.property(fc.oneof(fc.uint8Array({ maxLength: 200 }), plausible), (given) => {
      try {
        SET.read(given);
      } catch (error) {
        if (!(error instanceof NetlinkError)) throw error;
      }
    }),
    { numRuns: 3000 },
  );
});

Deno.test("attributes: an offset is named by its path", () => {
  const written = encode({ one: 1, data: { ip: "192.0.2.1", port: 80 } });
  assert.equal(SET.locate(written, 0), ".one");
  assert.equal(SET.locate(written, 8), ".data");
  assert.equal(SET.locate(written, 12), ".data.ip");
  assert.equal(SET.locate(written, 20), ".data.port");
  assert.equal(SET.locate(Uint8Array.fromHex("0800630001020304"), 4), ".attribute 99");
  assert.equal(SET.locate(written, 5000), "");
});
