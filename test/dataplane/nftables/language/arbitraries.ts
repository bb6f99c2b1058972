/**
 * Rules of every kind, in the one form that each has.
 *
 * @module
 */

import fc from "fast-check";
import type {
  BaseChain,
  Chain,
  Element,
  Expression,
  Match,
  NamedSet,
  Rule,
  Ruleset,
  Selector,
  Statement,
  Table,
  Value,
  Verdict,
} from "../../../../src/dataplane/nftables/language/ast.ts";

const pick = <const T>(...values: readonly T[]) => fc.constantFrom(...values);

const record = <T>(model: { [Key in keyof T]: fc.Arbitrary<T[Key]> }): fc.Arbitrary<T> =>
  fc.record(model, { noNullPrototype: true }) as fc.Arbitrary<T>;

const name = fc.stringMatching(/^[A-Za-z][A-Za-z0-9_.-]{0,8}(?:\/[a-z0-9.]{1,4})?$/)
  .map((text) => `x-${text}`);

const text = fc.stringMatching(/^[ -!#-[\]-~]{0,20}$/);

const comment = fc.option(text);

const number = fc.integer({ min: 0, max: 0xffffffff });

const portNumber = fc.integer({ min: 0, max: 65535 });

const ipv4 = fc.ipV4().map((text): Value => ({ kind: "address", text }));

const ipv6 = pick("fd00::1", "::1", "2001:db8::1:0:0:1", "fe80::ff:fe00:1", "::ffff:10.0.0.1")
  .map((text): Value => ({ kind: "address", text }));

const network4 = fc.tuple(fc.integer({ min: 1, max: 31 }), number).map(([prefix, bits]): Value => {
  const base = Number(BigInt(bits) >> BigInt(32 - prefix) << BigInt(32 - prefix));
  const address = [24, 16, 8, 0].map((shift) => base >>> shift & 255).join(".");
  return { kind: "network", address, prefix };
});

const network6 = pick(
  { address: "fd00::", prefix: 8 },
  { address: "2001:db8::", prefix: 32 },
  { address: "::", prefix: 0 },
).map((network): Value => ({ kind: "network", ...network }));

/** Not the first and last address of a network. */
const range4 = fc.integer({ min: 1, max: 100 }).map((last): Value => ({
  kind: "range",
  from: { kind: "address", text: "10.0.0.3" },
  to: { kind: "address", text: `10.0.1.${last}` },
}));

const numberValue = (value: number): Value => ({ kind: "number", value });

const ports: fc.Arbitrary<Value> = fc.oneof(
  portNumber.map(numberValue),
  fc.tuple(portNumber, portNumber).filter(([from, to]) => from !== to).map(([from, to]): Value => ({
    kind: "range",
    from: numberValue(from),
    to: numberValue(to),
  })),
);

const protocol = fc.oneof(
  pick("tcp", "udp", "sctp", "icmp", "ipv6-icmp").map((name): Value => ({ kind: "symbol", name })),
  pick(200, 250).map(numberValue),
);

const link = pick("eth0", "lo", "cali*", "br-0").map((text): Value => ({ kind: "string", text }));

const mark = number.map(numberValue);

const state = pick<Value>(
  { kind: "symbol", name: "new" },
  { kind: "flags", names: ["established", "related"] },
  { kind: "flags", names: ["invalid", "new", "untracked"] },
);

/** A selector with the values that it may have. */
interface Typed {
  readonly selector: Selector;
  readonly values: fc.Arbitrary<Value>;
}

const payload = (protocol: string, field: string): Selector => ({
  kind: "payload",
  protocol,
  field,
});

const TYPED: readonly Typed[] = [
  { selector: payload("ip", "saddr"), values: fc.oneof(ipv4, network4, range4) },
  { selector: payload("ip6", "daddr"), values: fc.oneof(ipv6, network6) },
  { selector: payload("tcp", "dport"), values: ports },
  { selector: payload("th", "sport"), values: ports },
  { selector: payload("ip", "protocol"), values: protocol },
  { selector: { kind: "meta", key: "l4proto" }, values: protocol },
  { selector: { kind: "meta", key: "mark" }, values: mark },
  { selector: { kind: "meta", key: "iifname" }, values: link },
  { selector: { kind: "meta", key: "oif" }, values: link },
  { selector: { kind: "meta", key: "skuid" }, values: mark },
  { selector: { kind: "ct", direction: null, key: "mark" }, values: mark },
  { selector: { kind: "ct", direction: "original", key: "ip daddr" }, values: ipv4 },
  { selector: { kind: "raw", base: "th", offset: 16, length: 16 }, values: ports },
  {
    selector: { kind: "fib", flags: ["saddr", "iif"], result: "oif" },
    values: pick("exists", "missing").map((name): Value => ({ kind: "symbol", name })),
  },
  {
    selector: { kind: "fib", flags: ["daddr"], result: "type" },
    values: pick("local", "broadcast").map((name): Value => ({ kind: "symbol", name })),
  },
  { selector: { kind: "numgen", mode: "random", modulus: 3, offset: 1 }, values: mark },
  {
    selector: { kind: "hash", of: payload("ip", "saddr"), modulus: 4, seed: 7, offset: 0 },
    values: mark,
  },
  { selector: { kind: "hash", of: null, modulus: 4, seed: null, offset: 2 }, values: mark },
  { selector: { kind: "other", text: "socket transparent" }, values: mark },
  { selector: { kind: "other", text: "tcp option maxseg size" }, values: mark },
];

const typed = pick(...TYPED);

const concatenated = fc.array(typed, { minLength: 2, maxLength: 3 }).map((parts): Typed => ({
  selector: { kind: "concat", parts: parts.map(({ selector }) => selector) },
  values: fc.tuple(...parts.map(({ values }) => values)).map((parts): Value => ({
    kind: "concat",
    parts,
  })),
}));

const key = fc.oneof(typed, concatenated);

const milliseconds = fc.option(fc.integer({ min: 1, max: 1e9 }));

const counter: fc.Arbitrary<Statement> = record({
  kind: fc.constant("counter" as const),
  name: fc.constant(null),
  packets: number,
  bytes: number,
});

const limit: fc.Arbitrary<Statement> = pick(
  "rate 10/second",
  "rate over 1 mbytes/second",
  'name "x"',
)
  .map((text): Statement => ({ kind: "limit", text }));

export const verdict: fc.Arbitrary<Verdict> = fc.oneof(
  pick("accept", "drop", "return", "continue").map((kind): Verdict => ({ kind })),
  fc.tuple(pick("jump", "goto"), name).map(([kind, chain]): Verdict => ({ kind, chain })),
);

function elementOf(
  keys: fc.Arbitrary<Value>,
  data: fc.Arbitrary<Value | Verdict | null>,
  plain = false,
): fc.Arbitrary<Element> {
  return record({
    key: keys,
    data,
    comment: plain ? fc.constant(null) : comment,
    timeout: plain ? fc.constant(null) : milliseconds,
    expires: plain ? fc.constant(null) : milliseconds,
    statements: plain ? fc.constant([]) : fc.array(counter, { maxLength: 1 }),
  });
}

const setOf = (keys: fc.Arbitrary<Value>, data: fc.Arbitrary<Value | Verdict | null>) =>
  fc.array(elementOf(keys, data, true), { minLength: 1, maxLength: 3 })
    .map((elements): Value => ({ kind: "set", elements }));

const reference = name.map((name) => ({ kind: "reference" as const, name }));

const plainMatch: fc.Arbitrary<Match> = key.chain(({ selector, values }) =>
  record({
    kind: fc.constant("match" as const),
    left: fc.constant(selector),
    operator: pick<Match["operator"]>("is", "!="),
    right: fc.oneof(values, setOf(values, fc.constant(null)), reference),
  })
);

const orderMatch: fc.Arbitrary<Match> = record({
  kind: fc.constant("match" as const),
  left: pick(payload("ip", "ttl"), payload("udp", "length")),
  operator: pick<Match["operator"]>("<", ">", "<=", ">="),
  right: mark,
});

const flagMatch: fc.Arbitrary<Match> = fc.oneof(
  record({
    kind: fc.constant("match" as const),
    left: fc.constant<Selector>({ kind: "ct", direction: null, key: "state" }),
    operator: pick<Match["operator"]>("is", "==", "!="),
    right: state,
  }),
  record({
    kind: fc.constant("match" as const),
    left: pick<Selector>(
      {
        kind: "bitwise",
        operator: "&",
        left: payload("tcp", "flags"),
        right: { kind: "flags", names: ["fin", "syn"] },
      },
    ),
    operator: pick<Match["operator"]>("is", "!="),
    right: pick<Value>({ kind: "symbol", name: "syn" }, { kind: "flags", names: ["fin", "syn"] }),
  }),
  record({
    kind: fc.constant("match" as const),
    left: mark.map((right): Selector => ({
      kind: "bitwise",
      operator: "&",
      left: { kind: "meta", key: "mark" },
      right,
    })),
    operator: pick<Match["operator"]>("is", "!="),
    right: mark,
  }),
);

const mapLookup = (data: fc.Arbitrary<Value>): fc.Arbitrary<Expression> =>
  key.chain(({ selector, values }) =>
    record({
      kind: fc.constant("map" as const),
      key: fc.constant(selector),
      map: fc.oneof(
        setOf(values, data).map((set) => set as Extract<Value, { kind: "set" }>),
        reference,
      ),
    })
  );

const mangled: fc.Arbitrary<Expression> = fc.oneof(
  mark,
  pick<Expression>({ kind: "ct", direction: null, key: "mark" }),
  fc.tuple(pick("|", "&", "^"), mark).map(([operator, right]): Expression => ({
    kind: "bitwise",
    operator,
    left: { kind: "meta", key: "mark" },
    right,
  })),
  mapLookup(mark),
);

const nat: fc.Arbitrary<Statement> = record({
  kind: fc.constant("nat" as const),
  type: pick("dnat", "snat"),
  family: pick(null, "ip"),
  address: fc.oneof(ipv4, network4, range4, ipv6, mapLookup(ipv4)),
  port: fc.option(ports, { nil: null }),
  pair: fc.constant(false),
  flags: pick<readonly string[]>([], ["random"], ["random", "persistent"]),
});

const pairNat: fc.Arbitrary<Statement> = mapLookup(
  fc.tuple(ipv4, portNumber).map(([address, port]): Value => ({
    kind: "concat",
    parts: [address, numberValue(port)],
  })),
).map((address): Statement => ({
  kind: "nat",
  type: "dnat",
  family: "ip",
  address,
  port: null,
  pair: true,
  flags: [],
}));

const ownNat: fc.Arbitrary<Statement> = record({
  kind: fc.constant("nat" as const),
  type: pick("masquerade", "redirect"),
  family: fc.constant(null),
  address: fc.constant(null),
  port: fc.option(ports, { nil: null }),
  pair: fc.constant(false),
  flags: pick<readonly string[]>([], ["fully-random"]),
});

export const statement: fc.Arbitrary<Statement> = fc.oneof(
  plainMatch,
  orderMatch,
  flagMatch,
  verdict.map((verdict): Statement => ({ kind: "verdict", verdict })),
  key.chain(({ selector, values }) =>
    record({
      kind: fc.constant("vmap" as const),
      key: fc.constant(selector),
      map: fc.oneof(
        setOf(values, verdict).map((set) => set as Extract<Value, { kind: "set" }>),
        reference,
      ),
    })
  ),
  mangled.map((value): Statement => ({
    kind: "mangle",
    target: { kind: "meta", key: "mark" },
    value,
  })),
  nat,
  pairNat,
  ownNat,
  pick<Statement>(
    { kind: "reject", with: null },
    { kind: "reject", with: { type: "tcp reset" } },
    { kind: "reject", with: { type: "icmp", code: "admin-prohibited" } },
    { kind: "notrack" },
    { kind: "log", text: "" },
    { kind: "log", text: 'prefix "a b: " level info' },
    { kind: "counter", name: "hits", packets: 0, bytes: 0 },
    { kind: "unknown", text: 'xt match "recent"' },
    { kind: "unknown", text: 'dup to 10.0.0.1 device "lo"' },
  ),
  counter,
  limit,
  key.chain(({ selector }) =>
    record({
      kind: fc.constant("update" as const),
      operation: pick("add", "update", "delete"),
      set: name,
      key: fc.constant(selector),
      data: fc.option(mark),
      timeout: milliseconds,
      statements: fc.array(limit, { maxLength: 1 }),
    })
  ),
);

/** What nft does not know goes as far as a word that begins a statement for certain. */
function isSplit(statements: readonly Statement[]): boolean {
  return statements.every((statement, i) => {
    if (statement.kind !== "unknown" || statement.text.startsWith("xt ")) return true;
    const next = statements.at(i + 1)?.kind;
    return next === undefined || ["verdict", "counter", "log", "nat", "notrack"].includes(next);
  });
}

export const rule: fc.Arbitrary<Rule> = record({
  statements: fc.array(statement, { minLength: 1, maxLength: 5 }).filter(isSplit),
  comment,
  handle: fc.constant(null),
  line: fc.constant(null),
});

const base: fc.Arbitrary<BaseChain> = record({
  type: pick("filter", "nat", "route"),
  hook: pick("prerouting", "input", "forward", "output", "postrouting"),
  priority: fc.oneof(fc.integer({ min: -400, max: 400 }), pick(-310, -100, 0, 100, -90)),
  policy: pick("accept", "drop"),
  devices: fc.constant([]),
});

const chain: fc.Arbitrary<Omit<Chain, "name">> = record({
  base: fc.option(base),
  comment,
  handle: fc.constant(null),
  rules: fc.array(rule, { maxLength: 4 }),
});

/** Types that sets of nft have, with the values of each. */
const SET_TYPES: Readonly<Record<string, fc.Arbitrary<Value>>> = {
  ipv4_addr: fc.oneof(ipv4, network4),
  ipv6_addr: ipv6,
  inet_service: ports,
  inet_proto: protocol,
  mark,
  ifname: link,
};

const types = fc.array(pick(...Object.keys(SET_TYPES)), { minLength: 1, maxLength: 3 });

const valuesOf = (types: readonly string[]): fc.Arbitrary<Value> =>
  types.length === 1
    ? fc.oneof(SET_TYPES[types[0]], fc.constant<Value>({ kind: "wildcard" }))
    : fc.tuple(...types.map((type) => SET_TYPES[type])).map((parts): Value => ({
      kind: "concat",
      parts,
    }));

const set: fc.Arbitrary<Omit<NamedSet, "name">> = fc.tuple(
  types,
  pick(null, "verdict", "mark", "ipv4_addr"),
).chain(([key, data]) =>
  record({
    key: fc.constant(key),
    data: fc.constant(data === null ? null : [data]),
    typeof: fc.constant(null),
    flags: pick<readonly string[]>([], ["interval"], ["dynamic", "timeout"]),
    timeout: milliseconds,
    gcInterval: milliseconds,
    size: fc.option(fc.integer({ min: 1, max: 65535 })),
    policy: pick(null, "memory"),
    autoMerge: fc.boolean(),
    statements: fc.array(counter, { maxLength: 1 }),
    comment,
    handle: fc.constant(null),
    elements: fc.array(
      elementOf(
        valuesOf(key),
        data === null ? fc.constant(null) : data === "verdict" ? verdict : SET_TYPES[data],
      ),
      { maxLength: 4 },
    ),
  })
);

const table: fc.Arbitrary<Omit<Table, "name" | "family">> = record({
  comment,
  flags: pick<readonly string[]>([], ["dormant"]),
  handle: fc.constant(null),
  chains: fc.dictionary(name, chain, { maxKeys: 4, noNullPrototype: true })
    .map((chains) => Object.entries(chains).map(([name, chain]) => ({ name, ...chain }))),
  sets: fc.dictionary(name, set, { maxKeys: 3, noNullPrototype: true })
    .map((sets) => Object.entries(sets).map(([name, set]) => ({ name, ...set }))),
  objects: pick<readonly string[]>([], ["counter hits { packets 1 bytes 2 }"]),
});

/** Tables with all that can be in them. */
export const ruleset: fc.Arbitrary<Ruleset> = record({
  tables: fc.uniqueArray(record({ family: pick("ip", "inet"), name, table }), {
    maxLength: 3,
    selector: ({ family, name }) => `${family} ${name}`,
  }).map((tables) =>
    tables.map(({ family, name, table }): Table => ({ family: family as "ip", name, ...table }))
  ),
});
