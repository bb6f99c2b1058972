import assert from "node:assert/strict";
import fc from "fast-check";
import { parseRuleset } from "../../../src/dataplane/nftables/language/parse.ts";
import type { Answered } from "../../../src/explain/answer.ts";
import { answerer, type NftablesNode, tablesOf } from "../../../src/explain/nftables/explain.ts";
import { parseNetwork } from "../../../src/net/address.ts";

const NODE = "192.168.0.2";
// Addresses near one another, the node's, and one of a client that has none.
const SOURCES = ["0.0.0.0", "10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.1.1", NODE, "127.0.0.1"];
const PORTS = [undefined, 20, 1500, 4000] as const;

/** What asks for the source, every way that there is, and what doesn't. */
const MATCHES = [
  ...["10.0.0.1", "10.0.0.0/30", "10.0.0.1-10.0.0.2", "{ 10.0.0.2, 10.0.1.0/24 }", "@addresses"]
    .flatMap((text) => [`ip saddr ${text}`, `ip saddr != ${text}`]),
  "ip saddr & 255.0.0.255 == 10.0.0.1",
  "tcp sport 1000-2000",
  "th sport 0-65535",
  "th sport != { 1-1500, 4000 }",
  "ip saddr . th sport { 10.0.0.3 . 1500, 10.0.0.1 . 20 }",
  "ip saddr . th dport @pairs",
  "ip saddr @clients",
  "fib saddr type local",
  "fib saddr . iif type local",
  "fib saddr type != unicast",
  'iifname "eth0"',
  'iifname != "eth*"',
  'iif "lo"',
  "ct original ip saddr 10.0.0.2",
  "ct reply ip daddr 10.0.0.0/30",
  "ct original proto-src 1000-2000",
  "ct status snat",
  "meta skuid 0",
  "numgen random mod 2 0",
  "meta mark & 0x1 == 0x1",
  "ip daddr 10.0.0.3",
  "update @clients { ip saddr }",
];

const ENDS = {
  nat: [
    "dnat to 10.0.0.1",
    "dnat to ip saddr map { 10.0.0.1 : 10.0.0.2 }",
    "snat to 10.0.0.1",
    "masquerade",
    "return",
  ],
  filter: ["accept", "drop", "ip saddr vmap { 10.0.0.1 : drop, 10.0.0.2 : goto more }"],
};

const COMMON = ["meta mark set meta mark ^ 0x1", "jump more", "continue"];

const HOOKS = {
  nat: ["prerouting", "output", "postrouting"],
  filter: ["input", "forward"],
} as const;

function tableOf(type: "nat" | "filter"): fc.Arbitrary<string> {
  const ends = (hook: string) =>
    ENDS[type].filter((end) =>
      hook === "postrouting" ? !end.startsWith("dnat") : !/^(?:snat|masq)/.test(end)
    );
  const rule = (hook: string) =>
    fc.tuple(
      fc.subarray(MATCHES, { maxLength: 2 }),
      fc.constantFrom(...ends(hook), ...COMMON),
    ).map(([matches, end]) => [...matches, end].join(" "));
  const chain = (hook: string) =>
    fc.array(rule(hook), { maxLength: 3 }).map((rules) =>
      `chain ${hook}-base {\ntype ${type} hook ${hook} priority 0; policy accept;\n${
        rules.join("\n")
      }\n}`
    );
  return fc.tuple(...HOOKS[type].map(chain)).map((chains) =>
    [
      `table ip ${type}-table {`,
      "set addresses {\ntype ipv4_addr\nelements = { 10.0.0.1, 10.0.1.1 }\n}",
      "set pairs {\ntype ipv4_addr . inet_service\nelements = { 10.0.0.1 . 80, 10.0.1.1 . 81 }\n}",
      "set clients {\ntype ipv4_addr\nflags dynamic,timeout\nelements = { 10.0.0.3 expires 1m }\n}",
      "chain more {\nip saddr 10.0.0.3 return\nmeta mark set 0x3\n}",
      ...chains,
      "}",
      "",
    ].join("\n")
  );
}

const node: fc.Arbitrary<NftablesNode> = fc.record({
  nat: tableOf("nat"),
  filter: tableOf("filter"),
  routes: fc.boolean(),
}).map(({ nat, filter, routes }) => ({
  tables: tablesOf(parseRuleset(nat + filter)),
  nodeAddresses: [NODE],
  routes: routes
    ? [["10.0.0.0/30", "eth0"], ["0.0.0.0/0", "eth1"]]
      .map(([network, name]) => ({ network: parseNetwork(network)!, interface: name }))
    : [],
}));

const target = fc.record({
  name: fc.constant(""),
  dest: fc.constantFrom("10.0.0.2", "10.0.0.3", NODE),
  port: fc.constantFrom(80, 81),
  protocol: fc.constantFrom("TCP" as const, "UDP" as const),
});

const sender = fc.record({
  source: fc.constantFrom(...SOURCES),
  sourcePort: fc.constantFrom(...PORTS),
});

Deno.test("an answer by nftables rules is another sender's only where that one's is the same", () => {
  let asked = 0;
  let same = 0;
  let alike = 0;
  const senders = fc.array(sender, { minLength: 6, maxLength: 6 });
  fc.assert(
    fc.property(node, target, senders, (node, target, senders) => {
      const ask = answerer(node);
      const answers = senders.map((from): Answered => ask({ ...target, ...from }));
      for (const { answer, sender } of answers) {
        for (const [i, { source, sourcePort }] of senders.entries()) {
          const equal = JSON.stringify(answer) === JSON.stringify(answers[i].answer);
          const said = sender.sameFor(source, sourcePort);
          assert(equal || !said, `${source}: ${JSON.stringify(answer, null, 1)}`);
          asked++;
          if (equal) alike++;
          if (said) same++;
        }
      }
    }),
    { seed: 1, numRuns: 400 },
  );
  assert(same > 0.7 * alike && alike > 0.3 * asked, `${same} of ${alike} of ${asked}`);
});
