import assert from "node:assert/strict";
import fc from "fast-check";
import { NetlinkError } from "../../../../src/netlink/error.ts";
import { encodeBatch } from "../../../../src/netlink/netfilter/nftables/batch.ts";
import type { Data } from "../../../../src/netlink/netfilter/nftables/data.ts";
import {
  dataType,
  keyLayout,
  typesOf,
} from "../../../../src/netlink/netfilter/nftables/datatypes.ts";
import {
  type Expression,
  expressionList,
  type StatefulExpression,
} from "../../../../src/netlink/netfilter/nftables/expression.ts";
import { MESSAGE } from "../../../../src/netlink/netfilter/nftables/formats.ts";
import * as names from "../../../../src/netlink/netfilter/nftables/names.ts";
import {
  readChain,
  readElements,
  readRule,
  readSet,
  readTable,
  type SetElement,
} from "../../../../src/netlink/netfilter/nftables/objects.ts";
import type { Operation } from "../../../../src/netlink/netfilter/nftables/operations.ts";
import {
  commentOf,
  commentUserData,
  readSetUserData,
  readUserData,
  setUserData,
} from "../../../../src/netlink/netfilter/nftables/userdata.ts";
import { type Message, parseMessages } from "../../../../src/netlink/message.ts";
import { Writer } from "../../../../src/netlink/writer.ts";

const u32 = fc.nat(0xffffffff);
const bytes = (maxLength: number) => fc.uint8Array({ minLength: 1, maxLength });
const text = fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 })
  .filter((s) =>
    !s.includes("\0") && s.isWellFormed() && new TextEncoder().encode(s).length <= 128
  );
/** A name of the list, or a number that has none. */
const among = <const N extends readonly string[]>(list: N): fc.Arbitrary<N[number] | number> =>
  fc.oneof(fc.constantFrom(...list), fc.integer({ min: 100, max: 255 }));
const record = (model: Record<string, fc.Arbitrary<unknown>>) =>
  fc.record(model, { requiredKeys: ["kind"], noNullPrototype: true }) as fc.Arbitrary<unknown>;

const data: fc.Arbitrary<Data> = fc.oneof(
  bytes(64).map((value) => ({ value })),
  fc.record({
    code: fc.constantFrom("accept" as const, "drop" as const, "return" as const, 77, -99),
  }, { noNullPrototype: true }).map((verdict) => ({ verdict })),
  text.map((chain) => ({ verdict: { code: "goto" as const, chain } })),
);
const count = fc.maxSafeNat();
const unknown = fc.record({
  kind: fc.constant("unknown"),
  name: fc.constantFrom("exthdr", "rt", "socket", "xfrm"),
  data: fc.option(bytes(40)),
}, { noNullPrototype: true });
const stateful = fc.oneof(
  record({ kind: fc.constant("counter"), bytes: count, packets: count }),
  record({
    kind: fc.constant("limit"),
    rate: count,
    unit: count,
    burst: u32,
    type: among(names.LIMIT_TYPES),
    flags: u32,
  }),
  record({ kind: fc.constant("quota"), bytes: count, flags: u32, consumed: count }),
  unknown,
) as fc.Arbitrary<StatefulExpression>;
const expression = fc.oneof(
  stateful,
  record({
    kind: fc.constant("payload"),
    dreg: u32,
    base: among(names.PAYLOAD_BASES),
    offset: u32,
    length: u32,
  }),
  record({ kind: fc.constant("meta"), dreg: u32, key: among(names.META_KEYS) }),
  record({
    kind: fc.constant("ct"),
    key: among(names.CT_KEYS),
    direction: among(["original", "reply"]),
    sreg: u32,
  }),
  record({ kind: fc.constant("fib"), dreg: u32, result: among(names.FIB_RESULTS), flags: u32 }),
  record({
    kind: fc.constant("numgen"),
    dreg: u32,
    modulus: u32,
    type: among(names.NUMGEN_TYPES),
    offset: u32,
  }),
  record({ kind: fc.constant("immediate"), dreg: u32, data }),
  record({
    kind: fc.constant("cmp"),
    sreg: u32,
    op: among(names.COMPARISONS),
    data: bytes(64),
  }),
  record({
    kind: fc.constant("bitwise"),
    sreg: u32,
    dreg: u32,
    length: u32,
    mask: bytes(16),
    xor: bytes(16),
  }),
  record({ kind: fc.constant("lookup"), set: text, sreg: u32, dreg: u32, flags: u32 }),
  record({
    kind: fc.constant("dynset"),
    set: text,
    op: among(names.DYNSET_OPERATORS),
    keyReg: u32,
    timeout: count,
    expression: stateful,
    expressions: fc.array(stateful, { minLength: 1, maxLength: 3 }),
  }),
  record({
    kind: fc.constant("nat"),
    type: among(names.NAT_TYPES),
    family: u32,
    addressMin: u32,
    portMin: u32,
    flags: u32,
  }),
  record({ kind: fc.constant("masq"), flags: u32 }),
  record({
    kind: fc.constant("reject"),
    type: among(names.REJECT_TYPES),
    code: fc.nat(255),
  }),
  record({ kind: fc.constant("log"), group: fc.nat(65535), prefix: text, level: u32 }),
  record({ kind: fc.constant("objref"), type: among(names.OBJECT_TYPES), name: text }),
  fc.constant({ kind: "notrack" }),
) as fc.Arbitrary<Expression>;
const comment = fc.option(text, { nil: undefined });
const element: fc.Arbitrary<SetElement> = fc.record({
  key: bytes(64),
  keyEnd: bytes(64),
  data,
  flags: u32,
  timeout: count,
  expiration: count,
  comment: text,
  expressions: fc.array(stateful, { minLength: 1, maxLength: 3 }),
}, { requiredKeys: [], noNullPrototype: true });

/** Operations that the kernel's answers look like, and their values. */
const T = { family: "ip6", table: "über" } as const;
const operation: fc.Arbitrary<Operation> = fc.oneof(
  fc.record({ flags: u32, comment }).map((rest): Operation => ({
    kind: "add table",
    table: withoutUndefined({ ...T, ...rest }),
  })),
  fc.record({ chain: text, comment, priority: fc.integer({ min: -1000, max: 1000 }) }).map((
    { chain, comment, priority },
  ): Operation => ({
    kind: "add chain",
    chain: withoutUndefined({
      ...T,
      chain,
      comment,
      hook: { number: 3, priority, type: "nat", policy: priority < 0 ? "drop" : "accept" },
    }),
  })),
  fc.record({ chain: text, comment, expressions: fc.array(expression, { maxLength: 8 }) }).map((
    rest,
  ): Operation => ({ kind: "append rule", rule: withoutUndefined({ ...T, ...rest }) })),
  fc.record({
    set: text,
    flags: u32,
    keyType: u32,
    keySize: u32,
    dataType: u32,
    dataSize: u32,
    size: u32,
    fields: fc.array(u32, { minLength: 1, maxLength: 5 }),
    timeout: count,
    expressions: fc.array(stateful, { minLength: 1, maxLength: 3 }),
    userData: fc.record({
      keyByteOrder: fc.nat(2),
      dataTypeof: bytes(30),
      comment: text,
    }, { noNullPrototype: true }),
  }, { noNullPrototype: true }).map((set): Operation => ({
    kind: "add set",
    set: { ...T, ...set },
  })),
  fc.record({ set: text, elements: fc.array(element, { minLength: 1, maxLength: 20 }) }).map((
    { set, elements },
  ): Operation => ({ kind: "add elements", set: { ...T, set }, elements })),
);

function withoutUndefined<V extends object>(values: V): V {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as V;
}

/** What a message tells, in the form of the operation that writes it. */
function readBack(message: Message): unknown {
  switch (message.type) {
    case MESSAGE.newTable:
      return withoutExtras(readTable(message), "use");
    case MESSAGE.newChain:
      return withoutExtras(readChain(message), "use");
    case MESSAGE.newRule:
      return withoutExtras(readRule(message));
    case MESSAGE.newSet:
      return withoutExtras(readSet(message));
    case MESSAGE.newElements:
      return readElements(message);
    default:
      return null;
  }
}

function withoutExtras(values: object, ...more: string[]): object {
  return Object.fromEntries(
    Object.entries(values).filter(([key]) => key !== "handle" && !more.includes(key)),
  );
}

function written(operation: Operation): unknown {
  switch (operation.kind) {
    case "add table":
      return operation.table;
    case "add chain":
      return operation.chain;
    case "append rule":
      return operation.rule;
    case "add set":
      return operation.set;
    case "add elements":
      return operation.elements;
    default:
      return null;
  }
}

Deno.test("nftables formats: what a batch says is read as it was written", () => {
  fc.assert(fc.property(fc.array(operation, { minLength: 1, maxLength: 5 }), (operations) => {
    const { datagram, places } = encodeBatch(operations, 7);
    const read = [...parseMessages(datagram)];
    assert.deepEqual(read.map(({ sequence }) => sequence), places.map((_, i) => i + 1));
    assert.deepEqual([read[0].type, read.at(-1)?.type], [16, 17]);
    assert.deepEqual(read.slice(1, -1).map(readBack), operations.map(written));
  }));
});

Deno.test("nftables formats: cut or changed messages are refused or read, never worse", () => {
  fc.assert(
    fc.property(
      operation,
      fc.nat(),
      fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }),
      (operation, length, changes) => {
        const { datagram } = encodeBatch([operation]);
        const message = [...parseMessages(datagram)][1];
        const payload = message.payload.slice(0, length % (message.payload.length + 1));
        for (const [at, value] of changes) payload[at % (payload.length || 1)] = value;
        try {
          readBack({ ...message, payload });
        } catch (error) {
          assert(error instanceof NetlinkError && error.code === "EBADMSG", `${error}`);
        }
      },
    ),
    { numRuns: 500 },
  );
});

Deno.test("nftables formats: an expression with an attribute that is not known stays bytes", () => {
  const out = new Writer();
  expressionList.write(out, [
    // NFTA_META_DREG 1, and number 99.
    { kind: "unknown", name: "meta", data: Uint8Array.fromHex("080001000000000108006300000000ff") },
    { kind: "meta", dreg: 1, key: "mark" },
    { kind: "unknown", name: "notrack", data: null },
    { kind: "unknown", name: "counter", data: new Uint8Array() },
  ]);
  assert.deepEqual(expressionList.read(out.written), [
    { kind: "unknown", name: "meta", data: Uint8Array.fromHex("080001000000000108006300000000ff") },
    { kind: "meta", dreg: 1, key: "mark" },
    { kind: "notrack" },
    { kind: "counter" },
  ]);
});

Deno.test("nftables formats: user data", () => {
  assert.equal(commentUserData("ns/svc")?.toHex(), "00076e732f73766300");
  assert.equal(commentUserData(undefined), undefined);
  assert.equal(commentOf(Uint8Array.fromHex("00076e732f73766300")), "ns/svc");
  // A rule may have other data than a comment (of ebtables, 1), before or behind it.
  assert.equal(commentOf(Uint8Array.fromHex("01020505000278ff")), "x\ufffd");
  assert.equal(commentOf(Uint8Array.fromHex("0101ff")), undefined);
  for (const foreign of ["0003ff", "00", "68656c6c6f"].map((hex) => Uint8Array.fromHex(hex))) {
    assert.equal(readUserData(foreign), null);
    assert.equal(commentOf(foreign), undefined);
    assert.deepEqual(readSetUserData(foreign), {});
  }
  assert.equal(commentUserData("é".repeat(64))?.length, 131);
  assert.throws(() => commentUserData("é".repeat(65)), RangeError);
  assert.throws(() => commentUserData("a\0b"), RangeError);
  // As nft writes it for `type ipv4_addr; comment "hi"`.
  const values = { keyByteOrder: 2, mergeElements: 0, comment: "hi" };
  assert.deepEqual(
    readSetUserData(setUserData(values)),
    values,
  );
  assert.equal(setUserData({}), undefined);
});

Deno.test("nftables formats: numbers of concatenated types", () => {
  const types = ["ipv4_addr", "inet_proto", "inet_service"].map((name) => dataType(name)!);
  assert.deepEqual(keyLayout(types), { id: 0x730d, size: 12, byteOrder: 0 });
  assert.deepEqual(typesOf(0x730d), types);
  assert.equal(typesOf(0x730d * 64 + 63), null);
  assert.equal(typesOf(0), null);
});

Deno.test("nftables formats: many elements are several messages, none too long", () => {
  const elements = Array.from({ length: 5000 }, (_, i): SetElement => ({
    key: Uint8Array.of(i >> 8, i),
    data: { verdict: { code: "goto", chain: "c".repeat(i % 200) } },
    comment: i % 7 === 0 ? "x".repeat(100) : undefined,
  }));
  const set = { ...T, set: "s" };
  const { datagram, places } = encodeBatch([
    { kind: "flush set", set },
    { kind: "add elements", set, elements },
    { kind: "add elements", set, elements: [] },
  ]);
  const read = [...parseMessages(datagram)].filter(({ type }) => type === MESSAGE.newElements);
  assert(read.length > 5);
  assert(read.every(({ payload }) => payload.length < 65536));
  assert.deepEqual(
    read.flatMap(readElements).map(({ key }) => key),
    elements.map(({ key }) => key),
  );
  assert.deepEqual([...new Set(places)], [-1, 0, 1]);
});
