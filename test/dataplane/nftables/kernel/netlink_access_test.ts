import assert from "node:assert/strict";
import { RefusedTransaction } from "../../../../src/dataplane/nftables/access.ts";
import { NetlinkAccess } from "../../../../src/dataplane/nftables/kernel/netlink_access.ts";
import type { Rule, Table } from "../../../../src/dataplane/nftables/language/ast.ts";
import { parseRule, parseRuleset } from "../../../../src/dataplane/nftables/language/parse.ts";
import { printRule } from "../../../../src/dataplane/nftables/language/print.ts";
import { SET_FLAGS } from "../../../../src/netlink/netfilter/nftables/names.ts";
import type { Operation } from "../../../../src/dataplane/nftables/transaction.ts";
import type { Family } from "../../../../src/net/address.ts";
import { NftNamespace } from "../../../netlink/netfilter/nftables/nft_namespace.ts";
import { requires } from "../../../requirements.ts";
import { until } from "../../../until.ts";
import fixture from "../fixtures/kube_proxy.json" with { type: "json" };
import { sortedTable } from "../tables.ts";
import { sortedListing, tableTransaction } from "./tables.ts";

/** Rules as nft lists them, in family ip, that are said to the kernel and read as they are. */
const RULES = Deno.readTextFileSync(new URL("rules.nft", import.meta.url)).split("\n")
  .filter((line) => line !== "" && !line.startsWith("#"));

/** Some that are read, but that we have no need to write. */
const READ_ONLY = [
  "limit rate over 10/second burst 20 packets drop",
  'limit rate 3/minute log prefix "x y" group 3',
  'log prefix "x" level debug',
  'log prefix "x" group 2 snaplen 80 queue-threshold 3',
  'log prefix "x" flags all',
  "log",
  "jhash ip saddr mod 3 seed 0x1 offset 2 vmap { 2 : drop }",
  "symhash mod 2 0 drop",
  "quota over 25 bytes drop",
  "ct count over 20 drop",
  "limit rate 10 bytes/second accept",
  'limit name "few" accept',
  "add @d { ip saddr limit rate over 10/minute } drop",
];

/** Some that are not known, or just in part. */
const UNKNOWN = [
  "ip dscp cs1 drop",
  "tcp option maxseg size 1000 drop",
  "rt classid 1 drop",
  "meta day 1 drop",
];

function inside(namespace: NftNamespace): NetlinkAccess {
  return namespace.run(() => NetlinkAccess.open());
}

function listed(namespace: NftNamespace): string {
  return sortedListing(namespace.nft("list", "ruleset"));
}

function clear({ nftables }: NftNamespace): void {
  nftables.commit(nftables.tables().map((table) => ({ kind: "delete table", table })));
}

/** What nft lists, whatever the order. */
function tableIn(namespace: NftNamespace): Table {
  return sortedTable(parseRuleset(listed(namespace)).tables[0]);
}

Deno.test({
  ...requires(
    "nftables by netlink: kube-proxy's tables, written by either, are read and listed the same",
    "root",
    "netns",
    "nft",
  ),
  async fn() {
    using byNft = new NftNamespace();
    using byNetlink = new NftNamespace();
    const reader = inside(byNft);
    const writer = inside(byNetlink);
    for (const { name, family, text } of fixture.cases) {
      clear(byNft);
      clear(byNetlink);
      byNft.load(text);
      const listing = listed(byNft);
      const theirs = parseRuleset(listing).tables[0];
      const read = await reader.read(family as Family);
      assert(read !== null);
      assert.deepEqual(sortedTable(read), sortedTable(theirs), `${family}, ${name}`);
      await writer.apply(tableTransaction(read));
      assert.equal(listed(byNetlink), listing, `${family}, ${name}`);
      assert.equal(await reader.read(family === "IPv4" ? "IPv6" : "IPv4"), null);
    }
    await reader.close();
    await writer.close();
  },
});

Deno.test({
  ...requires(
    "nftables by netlink: rules of each kind are said as nft does, and read as it lists them",
    "root",
    "netns",
    "nft",
  ),
  async fn() {
    using byNft = new NftNamespace();
    using byNetlink = new NftNamespace();
    const head = "add table ip kube-proxy\n" +
      "add set ip kube-proxy s { type ipv4_addr; }\n" +
      "add set ip kube-proxy d { type ipv4_addr; flags dynamic,timeout; timeout 3h; }\n" +
      "add map ip kube-proxy m { type ipv4_addr . inet_service : verdict; }\n" +
      "add map ip kube-proxy a { type ipv4_addr : ipv4_addr; }\n" +
      "add counter ip kube-proxy hits\n" +
      "add limit ip kube-proxy few rate 1/second\n" +
      "add chain ip kube-proxy other\n" +
      "add chain ip kube-proxy c\n";
    const rules = (lines: readonly string[]) =>
      lines.map((line) => `add rule ip kube-proxy c ${line}\n`).join("");
    byNft.load(head + rules(RULES));
    byNetlink.load(head);
    const reader = inside(byNft);
    const writer = inside(byNetlink);
    // They are in the form that nft lists.
    assert.deepEqual(linesOf(byNft), RULES);
    const expected = RULES.map((line) => sortedRule(parseRule(line)));
    assert.deepEqual((await chainOf(reader)).rules.map(sortedRule), expected);
    await writer.apply({
      family: "ip",
      table: "kube-proxy",
      operations: RULES.map((line): Operation => ({
        action: "add-rule",
        chain: "c",
        rule: parseRule(line),
      })),
    });
    assert.deepEqual(linesOf(byNetlink), RULES);
    assert.deepEqual((await chainOf(writer)).rules.map(sortedRule), expected);
    assert.deepEqual(expressionsOf(byNetlink), expressionsOf(byNft));

    byNft.load(`flush chain ip kube-proxy c\n${rules([...READ_ONLY, ...UNKNOWN])}`);
    const read = (await chainOf(reader)).rules;
    assert.deepEqual(read.slice(0, READ_ONLY.length).map(printRule), READ_ONLY);
    for (const { statements } of read.slice(READ_ONLY.length)) {
      const text = JSON.stringify(statements);
      assert(/"kind":"(?:unknown|raw)"/.test(text), text);
    }
    for (const line of READ_ONLY) {
      const rule = parseRule(line);
      await assert.rejects(
        writer.apply({
          family: "ip",
          table: "kube-proxy",
          operations: [{ action: "add-rule", chain: "c", rule }],
        }),
        { name: "CompileError" },
      );
    }
    await reader.close();
    await writer.close();
  },
});

Deno.test({
  ...requires(
    "nftables by netlink: tables are kept while no rules change, but for what sets hold by time",
    "root",
    "netns",
    "nft",
  ),
  async fn() {
    using node = new NftNamespace();
    node.load(`
      table ip kube-proxy { chain services { ip daddr 10.0.0.1 accept; }; }
      table inet fw {
        set seen { type ipv4_addr; flags timeout; elements = { 10.0.0.9 timeout 300ms, 10.0.0.8 }; }
        chain c { type filter hook forward priority 0; ip saddr @seen drop; }
      }
      table netdev links { chain c { type filter hook ingress device "lo" priority 0; }; }
      table ip6 others { chain c { accept; }; }
      table bridge b { chain c { accept; }; }
    `);
    const access = inside(node);
    const read = async () => {
      const tables = await access.readAll("IPv4");
      return tables.map((table) => "reason" in table ? assert.fail(table.reason) : table);
    };
    const first = await read();
    assert.deepEqual(first.map(({ family, name }) => `${family} ${name}`), [
      "ip kube-proxy",
      "inet fw",
      "netdev links",
    ]);
    assert.deepEqual(first[2].chains[0].base?.devices, ["lo"]);
    const keys = (table: Table) => table.sets[0].elements.map(({ key }) => JSON.stringify(key));
    const has9 = (tables: readonly Table[]) => keys(tables[1]).some((key) => key.includes("0.9"));
    await until(async () => !has9(await read()), "the element is gone");
    const second = await read();
    assert.equal(keys(second[1]).length, 1);
    assert.equal(second[0], first[0]);
    assert.equal(second[1].chains, first[1].chains);
    node.nft("add", "rule", "ip", "kube-proxy", "services", "drop");
    const third = await read();
    assert.equal(third[0].chains[0].rules.length, 2);
    await access.close();
  },
});

function linesOf(namespace: NftNamespace): string[] {
  const lines = sortedListing(namespace.nft("list", "chain", "ip", "kube-proxy", "c")).split("\n");
  return lines.slice(2, -3).map((line) => line.trim());
}

function sortedRule(rule: Rule): string {
  return sortedListing(printRule(rule));
}

/** What the kernel has of each rule; names of sets that have none of their own are left out. */
function expressionsOf(namespace: NftNamespace): string[] {
  return namespace.nftables.rules({ family: "ip", table: "kube-proxy", chain: "c" })
    .map(({ expressions, comment }) =>
      JSON.stringify([expressions, comment]).replaceAll(/"__[^"]+"/g, "unnamed")
    );
}

async function chainOf(access: NetlinkAccess) {
  const chain = await access.readChain("IPv4", "c");
  assert(chain !== null);
  return chain;
}

Deno.test({
  ...requires(
    "nftables by netlink: a large transaction is prepared out of sight, and seen at once",
    "root",
    "netns",
    "nft",
  ),
  async fn() {
    using expected = new NftNamespace();
    using namespace = new NftNamespace();
    const access = namespace.run(() =>
      NetlinkAccess.open({ largeTransaction: 20, batchMessages: 15 })
    );
    const { text } = fixture.cases.reduce((a, b) => a.text.length > b.text.length ? a : b);
    expected.load(text);
    const table = parseRuleset(text).tables[0];
    const transaction = tableTransaction(table);
    const impossible: Operation = { action: "delete-chain", name: "missing" };
    await assert.rejects(
      access.apply({ ...transaction, operations: [...transaction.operations, impossible] }),
      /^RefusedTransaction: delete chain missing of table ip6? kube-proxy: ENOENT/,
    );
    const { family, table: name } = transaction;
    const prepared = namespace.nftables.contents({ family, table: name });
    assert.deepEqual(
      prepared?.chains.map(({ chain }) => chain).sort(),
      table.chains.filter(({ base }) => base === null).map(({ name }) => name).sort(),
    );
    assert(prepared.rules.length > 0);
    for (const { flags, elements } of prepared.sets) {
      assert(elements.length === 0 || (flags & SET_FLAGS.anonymous) !== 0);
    }
    namespace.nft("flush", "ruleset");
    const before = namespace.nftables.generation();
    await access.apply(transaction);
    assert(namespace.nftables.generation() > before + 3);
    assert.deepEqual(tableIn(namespace), tableIn(expected));

    // Where chains are there before, and where something is taken away, it stays one batch.
    const again: Operation[] = [
      ...table.chains.map(({ name }): Operation => ({ action: "flush-chain", name })),
      ...[...transaction.operations].filter(({ action }) => action === "add-rule"),
    ];
    const present = namespace.nftables.generation();
    await access.apply({ ...transaction, operations: again });
    assert.equal(namespace.nftables.generation(), present + 1);
    assert.deepEqual(tableIn(namespace), tableIn(expected));
    await access.apply({
      ...transaction,
      operations: [{ action: "delete-table" }, ...transaction.operations],
    });
    assert.equal(namespace.nftables.generation(), present + 2);
    assert.deepEqual(tableIn(namespace), tableIn(expected));
    await access.close();
  },
});

Deno.test({
  ...requires(
    "nftables by netlink: what is refused changes nothing; what others flush is seen",
    "root",
    "netns",
    "nft",
  ),
  async fn() {
    using namespace = new NftNamespace();
    const access = inside(namespace);
    assert.equal(await access.read("IPv4"), null);
    assert.equal(await access.readChain("IPv4", "services"), null);
    const [{ family, text }] = fixture.cases;
    const table: Table = parseRuleset(text).tables[0];
    const transaction = tableTransaction(table);
    await access.apply(transaction);
    const before = listed(namespace);
    const refusal = await access.apply({
      ...transaction,
      operations: [
        { action: "flush-chain", name: "services" },
        { action: "delete-chain", name: "mark-for-masquerade" },
        { action: "delete-chain", name: "missing" },
      ],
    }).then(() => null, (error) => error);
    assert(refusal instanceof RefusedTransaction);
    assert.equal(refusal.family, transaction.family);
    assert.match(
      refusal.message,
      /^delete chain mark-for-masquerade of table ip6? kube-proxy: EBUSY \(at name\); and 1 more of the batch$/,
    );
    assert.equal(listed(namespace), before);

    const services = () => access.readChain(family as Family, "services");
    // All at once, they do not get each other's answers.
    const flush = { action: "flush-chain", name: "mark-for-masquerade" } as const;
    const [first, second, other, chain] = await Promise.all([
      access.read(family as Family),
      access.read(family as Family),
      access.read(family === "IPv4" ? "IPv6" : "IPv4"),
      services(),
      access.apply({ ...transaction, operations: [flush] }),
      access.apply({ ...transaction, operations: [flush] }),
    ]);
    assert.deepEqual(second?.sets, first?.sets);
    assert.deepEqual(chain, first?.chains.find(({ name }) => name === "services"));
    assert.equal(other, null);
    const own = await services();
    assert.equal(await services(), own);
    namespace.load("add table ip foreign\n");
    const again = await services();
    assert(again !== own);
    assert.deepEqual(again, own);
    namespace.nft("flush", "table", transaction.family, "kube-proxy");
    assert.deepEqual((await services())?.rules, []);
    namespace.nft("flush", "ruleset");
    assert.equal(await services(), null);
    await access.close();
  },
});
