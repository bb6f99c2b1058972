import assert from "node:assert/strict";
import { BatchError, encodeBatch } from "../../../../src/netlink/netfilter/nftables/batch.ts";
import { dataType, keyLayout } from "../../../../src/netlink/netfilter/nftables/datatypes.ts";
import type { SetElement, TableName } from "../../../../src/netlink/netfilter/nftables/objects.ts";
import type { Operation } from "../../../../src/netlink/netfilter/nftables/operations.ts";
import { Nftables } from "../../../../src/netlink/netfilter/nftables/nftables.ts";
import { TableWatch } from "../../../../src/netlink/netfilter/nftables/watch.ts";
import { requires } from "../../../requirements.ts";
import { copyOperations } from "./copy.ts";
import { NftNamespace } from "./nft_namespace.ts";

const RULESET = Deno.readTextFileSync(new URL("ruleset.nft", import.meta.url));
const T = { family: "ip", table: "t" } as const;
const TABLE: Operation = { kind: "add table", table: T };

function refused(fn: () => void): BatchError {
  try {
    fn();
  } catch (error) {
    assert(error instanceof BatchError, `${error}`);
    return error;
  }
  return assert.fail("nothing was refused");
}

function allOf<T>(steps: Generator<void, T, void>): T {
  for (;;) {
    const { done, value } = steps.next();
    if (done) return value;
  }
}

/** A set of IPv4 addresses. */
function addresses(set: string): Operation {
  const { id: keyType, size: keySize } = dataType("ipv4_addr")!;
  return { kind: "add set", set: { ...T, set, flags: 0, keyType, keySize } };
}

function element(n: number): SetElement {
  return { key: Uint8Array.of(10, n >> 16, n >> 8, n) };
}

Deno.test({
  ...requires(
    "nftables: what was read makes the same rules elsewhere",
    "root",
    "netns",
    "nft",
  ),
  fn() {
    using source = new NftNamespace();
    using target = new NftNamespace();
    source.load(RULESET);
    // Named objects are read only.
    target.load('add table ip t\nadd counter ip t hits { packets 3 bytes 4; comment "named"; }');
    const tables = source.nftables.tables();
    assert.deepEqual(tables.map(({ family, table }) => [family, table]), [["ip", "t"], [
      "ip6",
      "t",
    ]]);
    for (const table of tables) {
      const contents = source.nftables.contents(table);
      assert(contents !== null);
      // Read chain by chain they are the same.
      assert.deepEqual(allOf(source.nftables.contentsSteps(table, (rule) => rule, 1)), contents);
      target.nftables.commit(copyOperations(contents));
    }
    const listed = (namespace: NftNamespace) =>
      // The table was there already, without a comment.
      namespace.nft("list", "ruleset").replace('\tcomment "a table"\n', "");
    assert.equal(listed(target), listed(source));
    assert.equal(source.nftables.contents({ family: "inet", table: "t" }), null);
    assert.equal(source.nftables.table(T)?.comment, "a table");
    assert.deepEqual(
      source.nftables.objects(T).map(({ name, type, comment }) => [name, type, comment]),
      [["hits", "counter", "named"]],
    );
  },
});

Deno.test({
  ...requires(
    "nftables: a batch that is refused does nothing, and says what was refused",
    "root",
    "netns",
    "nft",
  ),
  fn() {
    using namespace = new NftNamespace();
    const { nftables } = namespace;
    nftables.commit([]);
    nftables.commit([TABLE, addresses("s")]);
    const before = namespace.nft("list", "ruleset");
    const jump = (chain: string): Operation => ({
      kind: "append rule",
      rule: {
        ...T,
        chain: "c",
        expressions: [{
          kind: "immediate",
          dreg: 0,
          data: { verdict: { code: "jump", chain } },
        }],
      },
    });
    const chain: Operation = { kind: "add chain", chain: { ...T, chain: "c" } };
    const elements = Array.from({ length: 3000 }, (_, i) => element(i));
    const error = refused(() =>
      nftables.commit([
        chain,
        jump("missing"),
        jump("c"),
        { kind: "add elements", set: { ...T, set: "s" }, elements },
        { kind: "delete elements", set: { ...T, set: "s" }, elements: [element(1), element(9999)] },
        { kind: "delete rule", rule: { ...T, chain: "c" }, handle: 77 },
      ])
    );
    assert.equal(namespace.nft("list", "ruleset"), before);
    assert.match(
      error.message,
      /^append rule of chain c of table ip t: ENOENT \(.*\); and 2 more of the batch$/,
    );
    assert.deepEqual(
      error.refusals.map(({ place, error }) => [place, error.code]),
      [[1, "ENOENT"], [4, "ENOENT"], [5, "ENOENT"]],
    );
    assert.match(
      error.refusals[1].error.message,
      /^delete elements of set s of table ip t: ENOENT \(at element 1 of the message\)$/,
    );

    nftables.commit([chain]);
    nftables.commit([chain]);
    const exclusive = refused(() => nftables.commit([{ ...chain, exclusive: true }]));
    assert.equal(exclusive.code, "EEXIST");
    assert.throws(
      () => nftables.elements({ ...T, set: "missing" }),
      /^NetlinkError: list elements of set missing of table ip t: ENOENT/,
    );
  },
});

Deno.test({
  ...requires(
    "nftables: a batch for rules that changed since is refused as stale",
    "root",
    "netns",
    "nft",
  ),
  fn() {
    using namespace = new NftNamespace();
    const { nftables } = namespace;
    nftables.commit([TABLE]);
    const generation = nftables.generation();
    namespace.nft("add", "table", "ip", "foreign");
    assert(nftables.generation() !== generation);
    const error = refused(() => nftables.commit([addresses("s")], { generation }));
    assert.equal(error.stale, true);
    assert.equal(error.message, "carry out a batch of nf_tables: ERESTART");
    assert.deepEqual(nftables.sets(T), []);
    nftables.commit([addresses("s")], { generation: nftables.generation() });
    assert.deepEqual(nftables.sets(T).map(({ set }) => set), ["s"]);
    assert.equal(
      refused(() => nftables.commit([{ kind: "delete set", set: { ...T, set: "x" } }]))
        .stale,
      false,
    );
  },
});

Deno.test({
  ...requires(
    "nftables: ten thousand elements come and go; rules are replaced, inserted, flushed",
    "root",
    "netns",
    "nft",
  ),
  async fn() {
    using namespace = new NftNamespace();
    const { nftables } = namespace;
    const elements = Array.from(
      { length: 10_000 },
      (_, i) => i % 100 === 0 ? { ...element(i), comment: `number ${i}` } : element(i),
    );
    const set = { ...T, set: "s" };
    const filling = { kind: "add elements", set, elements } as const;
    await nftables.commitLater(encodeBatch([TABLE, addresses("s"), filling]));
    await assert.rejects(
      nftables.commitLater(encodeBatch([{ ...filling, exclusive: true }])),
      /^BatchError: add elements of set s of table ip t: EEXIST \(at element 0 of the message\)/,
    );
    await nftables.commitLater(encodeBatch([]));
    const broken = nftables.contentsSteps(T, () => assert.fail("not to be read"));
    nftables.commit([
      { kind: "add chain", chain: { ...T, chain: "r" } },
      ...Array.from({ length: 2000 }, (): Operation => ({
        kind: "append rule",
        rule: { ...T, chain: "r", expressions: [{ kind: "notrack" }] },
      })),
    ]);
    assert.throws(() => [...broken], /not to be read/);
    // What a reader throws leaves the socket as it should be.
    assert.equal(nftables.rules(T).length, 2000);
    nftables.commit([
      { kind: "flush", chain: T },
      { kind: "delete chain", chain: { ...T, chain: "r" } },
    ]);
    const order = (list: readonly SetElement[]) => list.toSorted((a, b) => compare(a.key, b.key));
    assert.deepEqual(order(nftables.elements(set)), order(elements));
    assert.equal(
      namespace.nft("list", "set", "ip", "t", "s").match(/10\.\d+\.\d+\.\d+/g)?.length,
      elements.length,
    );
    nftables.commit([{ kind: "delete elements", set, elements: elements.slice(3) }]);
    assert.deepEqual(order(nftables.elements(set)), elements.slice(0, 3));
    nftables.commit([{ kind: "flush set", set }]);
    assert.deepEqual(nftables.elements(set), []);

    const chain = { ...T, chain: "c" };
    const rule = (comment: string) =>
      ({ ...chain, expressions: [{ kind: "notrack" }], comment }) as const;
    const comments = () => nftables.rules(chain).map(({ comment }) => comment);
    nftables.commit([
      { kind: "add chain", chain },
      ...["a", "b", "c"].map((comment): Operation => ({
        kind: "append rule",
        rule: rule(comment),
      })),
    ]);
    const [a, b] = nftables.rules(T);
    nftables.commit([
      { kind: "replace rule", rule: rule("B"), handle: b.handle },
      { kind: "insert rule", rule: rule("first") },
      { kind: "append rule", rule: rule("behind"), after: a.handle },
      { kind: "insert rule", rule: rule("before"), before: a.handle },
    ]);
    assert.deepEqual(comments(), ["first", "before", "a", "behind", "B", "c"]);
    nftables.commit([{ kind: "delete rule", rule: chain, handle: a.handle }]);
    assert.deepEqual(comments(), ["first", "before", "behind", "B", "c"]);
    nftables.commit([{ kind: "flush", chain }]);
    assert.deepEqual(comments(), []);
    nftables.commit([{ kind: "delete chain", chain }, { kind: "delete set", set }]);
    nftables.commit([{ kind: "delete table", table: T }]);
    assert.deepEqual(nftables.tables(), []);
  },
});

function compare(a: Uint8Array | undefined, b: Uint8Array | undefined): number {
  return (a?.toHex() ?? "") < (b?.toHex() ?? "") ? -1 : 1;
}

Deno.test({
  ...requires(
    "nftables: a table is read though others change all the time, not while it goes itself",
    "root",
    "netns",
    "nft",
  ),
  fn() {
    using namespace = new NftNamespace();
    namespace.load(RULESET);
    const { nftables } = namespace;
    using other = namespace.run(() => Nftables.open());
    const whileReading = (name: TableName, change: () => void) => {
      const steps = nftables.contentsSteps(name, (rule) => rule);
      for (;;) {
        const { done, value } = steps.next();
        if (done) return value;
        change();
      }
    };
    const expected = nftables.contents(T);
    let count = 0;
    const read = whileReading(T, () => {
      other.commit([{ kind: "add table", table: { family: "inet", table: `foreign${count++}` } }]);
    });
    assert(count > 3);
    assert.deepEqual({ ...read, generation: 0 }, { ...expected, generation: 0 });

    const own = { family: "ip6", table: "t" } as const;
    const copy = copyOperations(nftables.contents(own)!);
    assert.throws(
      () => whileReading(own, () => other.commit([{ kind: "delete table", table: own }, ...copy])),
      /^NetlinkError: read table ip6 t: EINTR \(changed during each of 3 attempts\)$/,
    );
  },
});

Deno.test({
  ...requires("nftables: types of sets are numbered as nft does", "root", "netns", "nft"),
  fn() {
    using namespace = new NftNamespace();
    const kinds = [
      ...["ipv4_addr", "ipv6_addr", "ether_addr", "inet_proto", "inet_service", "icmp_type"],
      ...["tcp_flag", "mark", "iface_index", "uid", "gid", "ct_state", "ct_status", "icmpv6_type"],
      ...["pkt_type", "devgroup", "dscp", "fib_addrtype", "ifname", "ether_type", "nf_proto"],
      ...["ct_dir", "boolean", "ipv6_addr . inet_proto . inet_service", "mark . ifname . uid"],
    ];
    namespace.load(
      ["add table ip t", ...kinds.map((kind, i) => `add set ip t s${i} { type ${kind}; }`)]
        .join("\n"),
    );
    const made = namespace.nftables.sets(T).map((
      { keyType, keySize, userData },
    ) => [keyType, keySize, userData?.keyByteOrder]);
    const expected = kinds.map((kind) => {
      const { id, size, byteOrder } = keyLayout(kind.split(" . ").map((name) => dataType(name)!));
      return [id, size, byteOrder];
    });
    assert.deepEqual(made, expected);
    assert.equal(dataType("time_machine"), null);
  },
});

Deno.test({
  ...requires("nftables: tables that others change are told, not ours", "root", "netns", "nft"),
  async fn() {
    using namespace = new NftNamespace();
    using watch = namespace.run(() => TableWatch.open());
    const changes = watch.changes(namespace.nftables.socket.port);
    const first = changes.next();
    namespace.nftables.commit([TABLE]);
    namespace.nft("add", "table", "inet", "theirs");
    assert.deepEqual((await first).value, { family: "inet", table: "theirs" });
    for (const change of [["add", "set"], ["add", "element"]]) {
      const what = change[1] === "set" ? "{ type mark; }" : "{ 1 }";
      namespace.nft(...change, T.family, T.table, "s", what);
      assert.deepEqual((await changes.next()).value, T);
    }
    namespace.nft("flush", "ruleset");
    const told = [(await changes.next()).value, (await changes.next()).value];
    assert.ok(told.every((one) => one !== null));
  },
});
