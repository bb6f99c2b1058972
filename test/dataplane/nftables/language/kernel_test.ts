import assert from "node:assert/strict";
import type { Element, Ruleset, Table } from "../../../../src/dataplane/nftables/language/ast.ts";
import { parseRuleset } from "../../../../src/dataplane/nftables/language/parse.ts";
import { printRuleset } from "../../../../src/dataplane/nftables/language/print.ts";
import { DEFAULT_NFTABLES_OPTIONS } from "../../../../src/dataplane/nftables/options.ts";
import { render } from "../../../../src/dataplane/nftables/render.ts";
import { tableOf } from "../../../../src/dataplane/nftables/rules.ts";
import { NetworkNamespace } from "../../../../src/linux/namespace.ts";
import { Planner } from "../../../../src/plan/planner.ts";
import { requires } from "../../../requirements.ts";
import { nodeChange, plannerConfig, ScenarioCluster } from "../../../scenarios/format.ts";
import { loadScenarios } from "../../../scenarios/runner.ts";
import { REJECTING, RULES, SETS, TO_DESTINATIONS, TO_SOURCES } from "./rules.ts";

/** What nft lists of a node that has these rules and no others. */
function listedBy(namespace: NetworkNamespace, text: string, ...options: string[]): string {
  const script = 'nft flush ruleset && printf %s "$INPUT" | nft -f - && nft "$@" list ruleset';
  const { success, stdout, stderr } = namespace.run(() =>
    new Deno.Command("sh", {
      args: ["-c", script, "sh", ...options],
      env: { INPUT: text },
      stdin: "null",
    }).outputSync()
  );
  const decoder = new TextDecoder();
  assert(success, decoder.decode(stderr) + text);
  return decoder.decode(stdout);
}

const byKey = (one: Element, other: Element) =>
  JSON.stringify(one.key) < JSON.stringify(other.key) ? -1 : 1;

/** As text: with elements in one order, and without the sizes that nft gives dynamic sets. */
function canonical({ tables }: Ruleset): string {
  return printRuleset({
    tables: tables.map((table): Table => ({
      ...table,
      sets: table.sets.map((set) => ({
        ...set,
        size: set.flags.includes("dynamic") ? null : set.size,
        elements: set.elements.toSorted(byKey),
      })),
    })),
  });
}

const base = (name: string, type: string, hook: string, rules: readonly string[]) =>
  `chain ${name} {\ntype ${type} hook ${hook} priority filter; policy accept;\n${
    rules.join("\n")
  }\n}`;

const FOREIGN = [
  "table ip foreign {",
  SETS,
  base("before", "filter", "prerouting", [...RULES, "notrack"]),
  base("in", "filter", "input", REJECTING),
  base("to", "nat", "prerouting", TO_DESTINATIONS),
  base("from", "nat", "postrouting", TO_SOURCES),
  "}",
  "table inet both {",
  "set six {\ntype ipv6_addr\nflags interval,timeout\n" +
  'elements = { fd00::/8 timeout 5m comment "all", 2001:db8::1 }\n}',
  "map range {\ntype inet_service : verdict\nflags interval\nelements = { 1-10 : accept, * : drop }\n}",
  "map pairs {\ntype ipv4_addr . inet_service : ipv4_addr . inet_service\n" +
  "elements = { 1.2.3.4 . 80 : 5.6.7.8 . 8080 }\n}",
  "counter hits {\npackets 1 bytes 2\n}",
  base("in", "filter", "input", [
    "ip6 daddr @six accept",
    "tcp dport vmap @range",
    'counter name "hits"',
    "reject with icmpx admin-prohibited",
    "reject",
    "reject with icmp port-unreachable",
    "meta nfproto ipv6 drop",
  ]),
  base("to", "nat", "prerouting", [
    "dnat ip to 1.2.3.4",
    "meta l4proto tcp dnat ip6 to [fd00::1]:80",
    "dnat ip6 to fd00::1-fd00::6",
    "meta l4proto tcp dnat ip addr . port to ip daddr . tcp dport map @pairs",
  ]),
  "}",
  "",
].join("\n");

const NEEDS = ["root", "netns", "nft"] as const;

Deno.test({
  ...requires("nft takes what is written of rules, and lists them as they are read", ...NEEDS),
  fn() {
    const namespace = NetworkNamespace.create();
    try {
      const rules = parseRuleset(FOREIGN);
      const unknown = rules.tables.flatMap(({ chains }) => chains.flatMap(({ rules }) => rules))
        .flatMap(({ statements }) => statements).filter(({ kind }) => kind === "unknown");
      assert.deepEqual(unknown, []);
      const listed = parseRuleset(listedBy(namespace, printRuleset(rules)));
      const timeless = canonical(listed).replace(/ expires \w+/g, "");
      // nft leaves out of a rule that translates both what its map's key says already.
      const expected = canonical(rules).replace(/meta l4proto tcp (dnat ip addr)/, "$1");
      // Objects come first in what nft lists, and tables as they were made.
      assert.equal(timeless, expected);
      const [before] = listed.tables[0].chains.filter(({ name }) => name === "before");
      assert.equal(before.rules.length, RULES.length + 1);
    } finally {
      namespace.close();
    }
  },
});

Deno.test({
  ...requires("nft lists kube-proxy's rules as they were written", ...NEEDS),
  fn() {
    const namespace = NetworkNamespace.create();
    try {
      const scenario = loadScenarios().find(({ name }) => name === "dual stack")!;
      const { configuration, steps } = scenario;
      const cluster = new ScenarioCluster();
      const planner = new Planner(plannerConfig(configuration));
      planner.update([nodeChange(configuration)]);
      for (const step of steps) planner.update(cluster.changes(step));
      const tables = (["IPv4", "IPv6"] as const).map((family) =>
        tableOf(render(planner.plan, family, DEFAULT_NFTABLES_OPTIONS).rules)
      );
      const listed = parseRuleset(listedBy(namespace, printRuleset({ tables }), "-a", "-s"));
      assert.deepEqual(sorted(canonical(listed)), sorted(canonical({ tables })));
      for (const { chains, handle } of listed.tables) {
        assert.notEqual(handle, null);
        for (const { handle, rules } of chains) {
          assert.notEqual(handle, null);
          for (const { handle } of rules) assert.notEqual(handle, null);
        }
      }
    } finally {
      namespace.close();
    }
  },
});

/** Sets and chains have no order. */
function sorted(text: string): string[] {
  return text.split(/\n(?=\t\S|table)/).sort();
}
