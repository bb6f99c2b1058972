import fc from "fast-check";
import { parseRuleset } from "../../../src/dataplane/nftables/language/parse.ts";
import { answerer, type NftablesNode, tablesOf } from "../../../src/explain/nftables/explain.ts";
import { checkSenders, NODE, ROUTES } from "../senders.ts";

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
  routes: routes ? ROUTES : [],
}));

Deno.test("an answer by nftables rules is another sender's only where that one's is the same", () => {
  checkSenders({ nodes: node, answerer, numRuns: 400, leastSaid: 0.7 });
});
