import assert from "node:assert/strict";
import fc from "fast-check";
import { compileRule } from "../../../../src/dataplane/nftables/kernel/compile_rule.ts";
import { decompileRule } from "../../../../src/dataplane/nftables/kernel/decompile_rule.ts";
import {
  compileElements,
  decompileElements,
} from "../../../../src/dataplane/nftables/kernel/elements.ts";
import { compileSet, decompileSet } from "../../../../src/dataplane/nftables/kernel/sets.ts";
import { typeNamed } from "../../../../src/dataplane/nftables/kernel/values.ts";
import type {
  Element,
  Rule,
  Statement,
  Value,
  Verdict,
} from "../../../../src/dataplane/nftables/language/ast.ts";
import { parseRule } from "../../../../src/dataplane/nftables/language/parse.ts";
import { printRule } from "../../../../src/dataplane/nftables/language/print.ts";
import {
  address,
  addressValue,
  concat,
  element,
  markBits,
  match,
  number,
  PORT,
  PROTOCOL,
  reference,
  rule,
  symbol,
  verdictMap,
} from "../../../../src/dataplane/nftables/statements.ts";
import type { FilledSet } from "../../../../src/netlink/netfilter/nftables/nftables.ts";
import { formatAddress } from "../../../../src/net/address.ts";
import { type Expression } from "../../../../src/netlink/netfilter/nftables/expression.ts";

const ip = fc.uint8Array({ minLength: 4, maxLength: 4 }).map(formatAddress);
const network: fc.Arbitrary<Value> = fc.tuple(
  fc.integer({ min: 0, max: 0xffffffff }),
  fc.integer({ min: 1, max: 31 }),
).map(([bits, prefix]) => {
  const start = prefix === 0 ? 0 : (bits & -1 << 32 - prefix) >>> 0;
  const bytes = Uint8Array.of(start >>> 24, start >>> 16, start >>> 8, start);
  return { kind: "network", address: formatAddress(bytes), prefix };
});
const port = fc.nat(65535);
const mark = fc.nat(0xffffffff).map(number);
const protocol = fc.constantFrom("tcp", "udp", "sctp", "icmp").map(symbol);
const name = fc.stringMatching(/^[a-z][a-z0-9/_-]{0,30}$/);
const verdict: fc.Arbitrary<Verdict> = fc.oneof(
  fc.constantFrom("accept" as const, "drop" as const, "return" as const, "continue" as const)
    .map((kind) => ({ kind })),
  fc.tuple(fc.constantFrom("jump" as const, "goto" as const), name)
    .map(([kind, chain]) => ({ kind, chain })),
);
const comment = fc.option(fc.stringMatching(/^[ -!#-~]{0,60}$/));
const operator = fc.constantFrom("is" as const, "!=" as const);
const field = fc.constantFrom("saddr" as const, "daddr" as const);
const source = (which: "saddr" | "daddr") => address("IPv4", which);

const uniqueElements = <T>(key: fc.Arbitrary<T>, make: (key: T, verdict: Verdict) => Element) =>
  fc.uniqueArray(fc.tuple(key, verdict), {
    minLength: 1,
    maxLength: 8,
    selector: ([key]) => JSON.stringify(key),
  }).map((elements) => elements.map(([key, verdict]) => make(key, verdict)));

const statement: fc.Arbitrary<Statement> = fc.oneof(
  fc.tuple(field, ip, operator).map(([which, text, sign]) =>
    match(source(which), addressValue(text), sign)
  ),
  fc.tuple(field, network, operator).map(([which, value, sign]) =>
    match(source(which), value, sign)
  ),
  fc.tuple(field, name, operator).map(([which, set, sign]) =>
    match(source(which), reference(`set-${set}`), sign)
  ),
  fc.tuple(mark, fc.constantFrom("is" as const, "!=" as const, "<" as const, ">=" as const))
    .map(([value, sign]) => match({ kind: "meta", key: "mark" }, value, sign)),
  fc.tuple(fc.integer({ min: 1, max: 0xfffffffe }), fc.constantFrom("&", "|", "^")).map((
    [bits, sign],
  ): Statement => ({
    kind: "mangle",
    target: { kind: "meta", key: "mark" },
    value: markBits(sign as "&" | "|" | "^", bits),
  })),
  fc.tuple(fc.nat(0xfffffffe), mark).map(([bits, value]) => match(markBits("&", bits), value)),
  fc.tuple(port, port).map(([a, b]) =>
    match(PORT, { kind: "range", from: number(Math.min(a, b)), to: number(Math.max(a, b)) })
  ),
  fc.constantFrom("eth0", "cali*", "a").map((text): Statement =>
    match({ kind: "meta", key: "iifname" }, { kind: "string", text })
  ),
  fc.uniqueArray(fc.constantFrom("established", "related", "new", "invalid"), {
    minLength: 1,
  }).map((names) => parseRule(`ct state ${names.join(",")}`).statements[0]),
  fc.constantFrom("saddr", "daddr").map((flag): Statement =>
    match({ kind: "fib", flags: [flag], result: "type" }, symbol("local"))
  ),
  uniqueElements(
    fc.tuple(ip, protocol, port),
    ([text, protocol, port], verdict) =>
      element(concat(addressValue(text), protocol, number(port)), verdict),
  )
    .map((elements) =>
      verdictMap(concat(source("daddr"), PROTOCOL, PORT), { kind: "set", elements })
    ),
  fc.tuple(fc.array(verdict, { minLength: 1, maxLength: 6 }), fc.nat(9)).map(([verdicts, offset]) =>
    verdictMap({ kind: "numgen", mode: "random", modulus: verdicts.length, offset }, {
      kind: "set",
      elements: verdicts.map((verdict, i) => element(number(i), verdict)),
    })
  ),
  verdict.map((verdict): Statement => ({ kind: "verdict", verdict })),
  fc.tuple(ip, fc.option(port)).map(([text, port]): Statement => ({
    kind: "nat",
    type: "dnat",
    family: null,
    address: addressValue(text),
    port: port === null ? null : number(port),
    pair: false,
    flags: [],
  })),
  fc.constant<Statement>({ kind: "reject", with: null }),
  fc.constant<Statement>({ kind: "notrack" }),
  fc.tuple(fc.nat(), fc.nat()).map(([packets, bytes]): Statement => ({
    kind: "counter",
    name: null,
    packets,
    bytes,
  })),
  name.map((set): Statement => ({
    kind: "update",
    operation: "update",
    set: `set-${set}`,
    key: source("saddr"),
    data: null,
    timeout: null,
    statements: [],
  })),
);

/** Named sets of IPv4 addresses, whatever they are called. */
class AddressSets extends Map<string, FilledSet> {
  override get(name: string): FilledSet | undefined {
    const own = super.get(name);
    if (own !== undefined || !name.startsWith("set-")) return own;
    const place = { family: "ip", table: "t", set: name, handle: 1, elements: [] } as const;
    return { ...place, flags: 0, keyType: typeNamed("ipv4_addr").id, keySize: 4 };
  }
}

/** The rule as it is read after it was written. */
function readBack(rule: Rule): Rule {
  let count = 0;
  const { sets, expressions } = compileRule(rule, {
    family: "ip",
    table: "t",
    setName: (kind) => `__${kind}${count++}`,
  });
  const known = new AddressSets(
    sets.map(({ set, elements }) => [set.set, { ...set, handle: 1, elements }]),
  );
  const kernelRule = {
    family: "ip",
    table: "t",
    chain: "c",
    handle: 7,
    expressions,
    ...(rule.comment === null ? {} : { comment: rule.comment }),
  } as const;
  return decompileRule(kernelRule, { family: "ip", sets: known });
}

/** With the elements of sets, which have no order, in one. */
function ordered(rule: Rule): unknown {
  return JSON.parse(
    JSON.stringify({ ...rule, handle: null }),
    (key, value) =>
      key === "elements"
        ? value.toSorted((a: Element, b: Element) =>
          JSON.stringify(a.key) < JSON.stringify(b.key) ? -1 : 1
        )
        : value,
  );
}

Deno.test("nftables kernel: rules are read from the expressions that were made of them", () => {
  fc.assert(
    fc.property(
      fc.array(statement, { minLength: 1, maxLength: 5 }),
      comment,
      (statements, comment) => {
        const wanted = rule(statements, comment);
        assert.deepEqual(ordered(readBack(wanted)), ordered(wanted));
      },
    ),
    { numRuns: 300 },
  );
});

Deno.test("nftables kernel: elements and sets are read as they were made", () => {
  const key = [typeNamed("ipv4_addr"), typeNamed("inet_proto"), typeNamed("inet_service")];
  const elements = uniqueElements(
    fc.tuple(ip, protocol, port),
    ([text, protocol, port], verdict) => ({
      ...element(concat(addressValue(text), protocol, number(port)), verdict, `${text}:${port}`),
      timeout: port === 0 ? null : port,
    }),
  );
  const set = {
    name: "m",
    key: key.map(({ name }) => name),
    data: ["verdict"],
    typeof: null,
    flags: ["timeout"],
    timeout: null,
    gcInterval: null,
    size: null,
    policy: null,
    autoMerge: false,
    statements: [],
    comment: "a map",
  } as const;
  const byKey = (a: Element, b: Element) => JSON.stringify(a.key) < JSON.stringify(b.key) ? -1 : 1;
  fc.assert(fc.property(elements, (elements) => {
    const types = { key, data: "verdict", interval: false } as const;
    const spec = compileSet(set, { family: "ip", table: "t" });
    const read = decompileSet({ ...spec, handle: 3, elements: compileElements(elements, types) });
    assert.deepEqual({ ...read, elements: read.elements.toSorted(byKey) }, {
      ...set,
      handle: 3,
      elements: elements.toSorted(byKey),
    });
  }));
});

Deno.test("nftables kernel: intervals hold the same addresses", () => {
  const types = { key: [typeNamed("ipv4_addr")], data: null, interval: true } as const;
  const keys = (...values: string[]) => values.map((text) => element(valueOf(text)));
  const read = (...values: string[]) =>
    decompileElements(compileElements(keys(...values), types), types).map(({ key }) => key);
  for (
    const values of [
      ["10.0.0.0/8", "192.168.1.1"],
      ["0.0.0.0/1", "128.0.0.1-128.0.0.9", "240.0.0.0/4"],
      ["255.255.255.255"],
      // One right behind the other.
      ["10.0.0.0/9", "10.128.0.0/9"],
    ]
  ) {
    assert.deepEqual(read(...values), values.map(valueOf));
  }
  const all = [{ ...types, key: [typeNamed("ipv4_addr"), typeNamed("inet_service")] }][0];
  const pairs = [element(concat(valueOf("10.0.0.0/8"), number(80)))];
  assert.deepEqual(decompileElements(compileElements(pairs, all), all), pairs);
});

function valueOf(text: string): Value {
  return (parseRule(`ip saddr ${text}`).statements[0] as { readonly right: Value }).right;
}

Deno.test("nftables kernel: what cannot be said is refused in one line", () => {
  const context = { family: "ip", table: "t", setName: () => "__set" } as const;
  for (
    const [text, message] of [
      ["limit rate 1/second", /^a limit cannot be said to the kernel by netlink$/],
      ["ip dscp cs1", /^ip dscp is not known$/],
      ["ip saddr fd00::/64", /^fd00::\/64 is no ipv4_addr$/],
      ["ip saddr fd00::1", /^fd00::1 is no ipv4_addr$/],
      ["tcp dport 65536", /^65536 is out of the range of inet_service$/],
      ["meta mark { 1-5 }", /^intervals of mark, which the kernel cannot order$/],
      ["ct state waiting", /^waiting is no known ct_state$/],
      ["reject with icmpv6 no-route", /is not possible in family ip$/],
      ['iifname "a-name-of-sixteen"', /is longer than 15 bytes$/],
    ] as const
  ) {
    assert.throws(() => compileRule(parseRule(text), context), { name: "CompileError", message });
  }
});

Deno.test("nftables kernel: expressions that are not understood are unknown statements", () => {
  const read = (...expressions: Expression[]) =>
    decompileRule({ family: "ip", table: "t", chain: "c", handle: 1, expressions }, {
      family: "ip",
      sets: new Map(),
    }).statements;
  const unknown = { kind: "unknown", name: "socket", data: Uint8Array.of(8, 0) } as const;
  assert.deepEqual(read(unknown), [{ kind: "unknown", text: "[ socket 0800 ]" }]);
  // What was not understood is not taken for what was there before.
  const load: Expression = { kind: "meta", key: "mark", dreg: 1 };
  assert.deepEqual(
    read(load, { kind: "meta", key: 99, dreg: 1 }, {
      kind: "cmp",
      sreg: 1,
      op: "eq",
      data: new Uint8Array(4),
    }),
    [{ kind: "unknown", text: "[ meta ]" }, { kind: "unknown", text: "[ cmp ]" }],
  );
  assert.deepEqual(read(load, { kind: "lookup", set: "missing", sreg: 1 }), [
    { kind: "unknown", text: "[ lookup ]" },
  ]);
  assert.deepEqual(read({ kind: "cmp", sreg: 2, op: "eq", data: new Uint8Array(4) }), [
    { kind: "unknown", text: "[ cmp ]" },
  ]);
});

/** Expressions that share registers, with values of any size. */
const wild: fc.Arbitrary<Expression> = (() => {
  const register = fc.constantFrom(0, 1, 1, 1, 2, 9, 10);
  const value = fc.uint8Array({ maxLength: 20 });
  const length = fc.constantFrom(0, 1, 2, 3, 4, 8, 16);
  return fc.oneof(
    fc.record({
      kind: fc.constant("payload" as const),
      dreg: register,
      base: fc.constantFrom("network" as const, "transport" as const),
      offset: fc.constantFrom(0, 2, 8, 9, 12, 13, 16),
      length,
    }),
    fc.record({
      kind: fc.constant("meta" as const),
      dreg: register,
      key: fc.constantFrom("mark" as const, "l4proto" as const, "iifname" as const, 99),
    }),
    fc.record({
      kind: fc.constant("meta" as const),
      sreg: register,
      key: fc.constant("mark" as const),
    }),
    fc.record({
      kind: fc.constant("ct" as const),
      dreg: register,
      key: fc.constantFrom("state" as const, "ip saddr" as const, "zone" as const),
    }),
    fc.record({
      kind: fc.constant("fib" as const),
      dreg: register,
      result: fc.constantFrom("type" as const, "oif" as const, "oifname" as const),
      flags: fc.nat(63),
    }),
    fc.record({
      kind: fc.constant("bitwise" as const),
      sreg: register,
      dreg: register,
      length,
      mask: value,
      xor: value,
    }),
    fc.record({
      kind: fc.constant("byteorder" as const),
      sreg: register,
      dreg: register,
      op: fc.constant("hton" as const),
      length,
    }),
    fc.record({
      kind: fc.constant("immediate" as const),
      dreg: register,
      data: value.map((value) => ({ value })),
    }),
    fc.record({
      kind: fc.constant("cmp" as const),
      sreg: register,
      op: fc.constantFrom("eq" as const, "neq" as const, "gte" as const, "lte" as const),
      data: value,
    }),
    fc.record({
      kind: fc.constant("range" as const),
      sreg: register,
      op: fc.constantFrom("eq" as const, "neq" as const),
      from: value,
      to: value,
    }),
    fc.record({
      kind: fc.constant("lookup" as const),
      set: fc.constantFrom("named", "unnamed", "missing"),
      sreg: register,
      dreg: fc.option(register, { nil: undefined }),
      flags: fc.nat(1),
    }),
    fc.record({
      kind: fc.constant("nat" as const),
      type: fc.constantFrom("dnat" as const, 9),
      family: fc.constantFrom(2, 10, 7),
      addressMin: register,
      portMin: register,
    }),
    fc.record({ kind: fc.constant("masq" as const), portMin: register, portMax: register }),
    fc.record({
      kind: fc.constant("dynset" as const),
      set: fc.constantFrom("named", "missing"),
      op: fc.constantFrom("update" as const, 7),
      keyReg: register,
    }),
    fc.record({ kind: fc.constant("reject" as const), type: fc.constantFrom("icmp" as const, 5) }),
    fc.record({ kind: fc.constant("limit" as const), rate: fc.nat(), unit: fc.constantFrom(1, 7) }),
    fc.record({ kind: fc.constant("log" as const), group: fc.nat(9) }),
    fc.record({ kind: fc.constant("objref" as const), type: fc.constant("quota" as const) }),
  );
})();

Deno.test("nftables kernel: no rules and no elements of others stop the reading", () => {
  const sets = fc.record({
    flags: fc.nat(0x1ff),
    keyType: fc.constantFrom(0, 4, 7, 8, 13, 0x730d, 41, 63),
    keySize: fc.nat(20),
    dataType: fc.constantFrom(undefined, 0xffffff00, 7, 63),
    elements: fc.array(
      fc.record({
        key: fc.uint8Array({ maxLength: 20 }),
        keyEnd: fc.uint8Array({ maxLength: 20 }),
        data: fc.uint8Array({ maxLength: 20 }).map((value) => ({ value })),
        flags: fc.nat(3),
      }, { requiredKeys: [] }),
      { maxLength: 5 },
    ),
  }).map((rest): FilledSet => ({ ...rest, family: "ip", table: "t", set: "s", handle: 1 }));
  fc.assert(
    fc.property(
      fc.array(wild, { minLength: 1, maxLength: 12 }),
      sets,
      sets,
      (expressions, named, unnamed) => {
        const known = new Map([["named", named], ["unnamed", {
          ...unnamed,
          flags: unnamed.flags | 1,
        }]]);
        const kernelRule = {
          family: "ip",
          table: "t",
          chain: "c",
          handle: 1,
          expressions,
        } as const;
        const read = decompileRule(kernelRule, { family: "ip", sets: known });
        assert(typeof printRule(read) === "string");
        assert(Array.isArray(decompileSet(named).elements));
      },
    ),
    { numRuns: 2000 },
  );
});
