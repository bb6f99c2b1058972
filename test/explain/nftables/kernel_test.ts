import assert from "node:assert/strict";
import fc from "fast-check";
import type { Table } from "../../../src/dataplane/nftables/language/ast.ts";
import { parseRuleset } from "../../../src/dataplane/nftables/language/parse.ts";
import type { Answer, Flow } from "../../../src/explain/answer.ts";
import { Nftables } from "../../../src/netlink/netfilter/nftables/nftables.ts";
import { explainer, tablesOf } from "../../../src/explain/nftables/explain.ts";
import { requires } from "../../requirements.ts";
import { KernelNode, NODE_ADDRESSES, type Sent } from "../iptables/kernel_node.ts";
import { fate, PacketSender, packetsTo, pick, ROUTES, words } from "../kernel_packets.ts";
import { tablesBy } from "./kernel_tables.ts";

function predictor(tables: readonly Table[]): (flow: Flow) => Answer {
  const node = { tables: tablesOf({ tables }), nodeAddresses: NODE_ADDRESSES, routes: ROUTES };
  return explainer(node);
}

/** What an answer comes to, whatever its rules are called. */
function ends({ outcomes, unknown }: Answer): unknown {
  return { outcomes: outcomes.map(({ steps: _, ...outcome }) => outcome), unknown };
}

const not = pick("", "", "!=");

const address = pick(
  "10.1.0.2",
  "10.1.0.0/24",
  "10.2.0.2",
  "10.2.0.0/30",
  "10.2.0.1-10.2.0.3",
  "{ 10.1.0.2, 10.2.0.3, 10.2.9.0/24 }",
  "@addresses",
  "@networks",
);

const port = pick("80", "79-80", "{ 80, 95 }", "{ 1-79, 81 }", "@ports");

const match = fc.oneof(
  words(pick("ip saddr", "ip daddr"), not, address),
  words(pick("tcp dport", "udp dport", "th dport"), not, port),
  words(fc.constant("meta l4proto"), not, pick("tcp", "udp", "{ tcp, udp }", "{ udp, sctp }")),
  words(fc.constant("ip protocol"), not, pick("tcp", "udp")),
  words(fc.constant("meta mark"), not, pick("0x1", "0x0", "0x1-0x3", "{ 0x1, 0x4000 }")),
  words(fc.constant("meta mark & 0x3"), pick("==", "!="), pick("0x1", "0x0", "0x3")),
  words(fc.constant("ct mark"), not, pick("0x1", "0x0")),
  words(fc.constant("ct state"), pick("new", "established,related", "!= new", "invalid")),
  pick(
    "ct state { new, untracked }",
    "ct state == new",
    "ct status dnat",
    "ct status & (snat | dnat) == dnat",
    "ct direction original",
    "ct original ip daddr 10.2.0.2",
    "ct original ip saddr != 10.1.0.2",
    "tcp flags syn",
    "tcp flags & (fin | syn | rst | ack) == syn",
    "tcp flags & (fin | rst) != 0",
    "tcp sport 1024-65535",
    "fib daddr type local",
    "fib daddr type != local",
    "fib saddr type { local, unicast }",
    "ip saddr . ip daddr { 10.1.0.2 . 10.2.0.2, 10.1.0.3 . 10.2.0.3 }",
    "ip daddr . th dport @services",
    "meta random < 0x80000000",
    "numgen random mod 2 0",
    "numgen random mod 4 < 3",
    "limit rate 1000000/second burst 1000000 packets",
    "counter",
    'log prefix "never"',
    "ip version 4",
  ),
);

const effect = pick(
  "meta mark set 0x1",
  "meta mark set meta mark | 0x4000",
  "meta mark set meta mark ^ 0x1",
  "meta mark set meta mark & 0xfffffffe",
  "ct mark set 0x1",
  "ct mark set meta mark",
  "meta mark set ct mark",
  "meta mark set ip daddr map { 10.2.0.2 : 0x1 }",
  "meta mark set numgen random mod 2 map { 0 : 0x1, 1 : 0x3 }",
  "update @seen { ip saddr }",
);

const CHAINS = ["a", "b", "c"];

/** Where a chain may lead: to those after it, so that there are no loops. */
const onward = (chain: number) =>
  CHAINS.slice(chain + 1).flatMap((name) => [`jump ${name}`, `goto ${name}`]);

/** What ends a rule; in a base chain of type filter, nat or raw. */
function ending(kind: string, hook: string, chain: number): fc.Arbitrary<string> {
  const lead = onward(chain);
  const maps = lead.length === 0 ? [] : [
    `ip daddr vmap { 10.2.0.2 : ${lead[0]}, 10.2.0.3 : accept, 10.2.9.0-10.2.9.255 : continue }`,
    `numgen random mod 3 vmap { 0 : ${lead[0]}, 1 : return, 2 : ${lead[1]} }`,
    `numgen random mod 3 vmap { 0 : ${lead[1]}, 2 : accept }`,
    `ip daddr . meta l4proto . th dport vmap @verdicts`,
    `meta l4proto vmap { tcp : ${lead[0]}, udp : ${lead[1]} }`,
  ];
  const common = fc.oneof(
    pick("accept", "return", "", "continue"),
    pick("", ...lead),
    pick("", ...maps),
    effect,
  );
  if (kind === "raw") return fc.oneof(common, pick("notrack", "drop"));
  if (kind === "filter") {
    const rejects = hook === "prerouting" || hook === "postrouting"
      ? ["drop"]
      : ["drop", "reject with icmp admin-prohibited"];
    return fc.oneof({ weight: 3, arbitrary: common }, pick(...rejects));
  }
  const translations = hook === "prerouting"
    ? [
      "dnat to 10.2.0.3",
      "dnat to 10.2.0.4-10.2.0.5",
      "dnat to 10.1.0.1",
      "redirect",
      "meta l4proto udp dnat to 10.2.0.3:90",
      "meta l4proto tcp dnat to :99",
      "meta l4proto udp redirect to :99",
      "dnat to ip daddr map { 10.2.0.2 : 10.2.0.6, 10.2.0.3 : 10.2.0.7 }",
      "dnat to numgen random mod 2 map { 0 : 10.2.0.6, 1 : 10.2.0.7 }",
      "meta l4proto tcp dnat ip addr . port to ip daddr . th dport map @pairs",
    ]
    : hook === "input"
    ? ["snat to 10.2.0.77", "snat to 10.2.0.77-10.2.0.78"]
    : ["masquerade", "snat to 10.2.0.77", "masquerade fully-random", "snat to 10.2.0.77-10.2.0.78"];
  return fc.oneof({ weight: 2, arbitrary: common }, pick(...translations));
}

function rule(kind: string, hook: string, chain: number): fc.Arbitrary<string> {
  const links = hook === "prerouting" || hook === "input"
    ? ['iifname "left"', 'iifname != "left"', 'iif "right"', 'iifname "le*"']
    : hook === "forward"
    ? ['iifname "left"', 'oifname { "left", "right" }', 'oifname != "right"', 'oifname "ri*"']
    : ['oifname "right"', 'oifname != "right"', 'iifname "left"'];
  return fc.tuple(
    fc.oneof({ weight: 4, arbitrary: fc.constant("") }, pick(...links)),
    fc.array(match, { maxLength: 2 }),
    fc.oneof({ weight: 3, arbitrary: fc.constant("") }, effect),
    ending(kind, hook, chain),
  ).map(([link, matches, change, end]) => {
    // nft takes no rule that asks for two protocols.
    let asked = PROTOCOL.test(end);
    const kept = matches.filter((text) => {
      if (!PROTOCOL.test(text)) return true;
      return !asked && (asked = true);
    });
    return [link, ...kept, change, end].filter((word) => word !== "").join(" ");
  });
}

const PROTOCOL = /l4proto|ip protocol|(?:tcp|udp|th) [sd]port|tcp flags/;

const PRIORITIES: Readonly<Record<string, readonly string[]>> = {
  raw: ["-310", "raw"],
  filter: ["-160", "mangle", "-101", "-99", "filter", "99", "101", "150"],
  nat: ["-50", "dstnat", "srcnat", "200"],
};

const NAMED = [
  "set addresses { type ipv4_addr; elements = { 10.1.0.2, 10.2.0.2 }; }",
  "set networks { type ipv4_addr; flags interval; elements = { 10.2.0.0/30, 10.1.7.0-10.1.7.9 }; }",
  "set ports { type inet_service; flags interval; elements = { 79, 90-99 }; }",
  "set services { type ipv4_addr . inet_service; elements = { 10.2.0.2 . 80, 10.2.0.3 . 81 }; }",
  "set seen { type ipv4_addr; flags dynamic,timeout; timeout 1h; }",
  "map pairs { type ipv4_addr . inet_service : ipv4_addr . inet_service; elements = " +
  "{ 10.2.0.2 . 80 : 10.2.0.8 . 8080 }; }",
];

/** A table with one base chain and three chains below it. */
function table(index: number): fc.Arbitrary<string> {
  return pick("ip", "inet").chain((family) =>
    pick("raw", "filter", "filter", "nat", "nat").chain((kind) =>
      pick(
        ...(kind === "raw"
          ? ["prerouting"]
          : kind === "nat"
          ? ["prerouting", "postrouting", "input"]
          : ["prerouting", "input", "forward", "postrouting"]),
      ).chain((hook) => {
        const chains = ["base", ...CHAINS];
        return fc.tuple(
          pick(...PRIORITIES[kind]).filter((name) =>
            name !== "dstnat" && name !== "srcnat" ||
            name === (hook === "prerouting" ? "dstnat" : "srcnat") && hook !== "input"
          ),
          kind === "filter" ? pick("accept", "accept", "accept", "drop") : pick("accept"),
          fc.tuple(...chains.map((name, i) =>
            fc.array(rule(kind, hook, i - 1), {
              maxLength: 4,
              minLength: name === "base" ? 1 : 0,
            })
          )),
        ).map(([priority, policy, rules]) => {
          const type = kind === "nat" ? "nat" : "filter";
          // The node's answers, by which delivery and refusal are seen, go out untouched.
          const own = hook === "postrouting"
            ? ["ct direction reply accept", "fib saddr type local accept"]
            : [];
          const bodies = chains.map((name, i) => {
            const head = name === "base"
              ? [`type ${type} hook ${hook} priority ${priority}; policy ${policy};`, ...own]
              : [];
            return `chain ${name} {\n${[...head, ...rules[i]].join("\n")}\n}`;
          });
          // Chains that others lead to come first.
          const verdicts = "map verdicts { type ipv4_addr . inet_proto . inet_service : verdict; " +
            "elements = { 10.2.0.2 . tcp . 80 : goto c, 10.2.0.2 . udp . 80 : jump c, " +
            "10.2.0.3 . tcp . 80 : accept }; }";
          // NAT of family inet is written for one of them.
          const of = (text: string) =>
            family === "inet" ? text.replace(/(dnat|snat) (?=to [^:])/g, "$1 ip ") : text;
          return `table ${family} t${index} {\n${
            [...NAMED, "chain c {", "}", verdicts, ...bodies.reverse().map(of)].join("\n")
          }\n}\n`;
        });
      })
    )
  );
}

const ruleSet = fc.tuple(table(0), table(1), table(2)).map((tables) => tables.join(""));

const packets = packetsTo(
  ["10.2.0.2", "10.2.0.2", "10.2.0.3", "10.2.9.9"],
  [79, 80, 80, 81, 95],
);

Deno.test({
  ...requires(
    "the evaluator agrees with the kernel on random nftables rules",
    "root",
    "netns",
    "tun",
    "nft",
  ),
  fn() {
    using node = new KernelNode("iptables");
    using nftables = node.inside(() => Nftables.open());
    const sender = new PacketSender(node);
    fc.assert(
      fc.property(ruleSet, packets, (text, list) => {
        node.run(["nft", "flush", "ruleset"]);
        node.run(["nft", "-f", "-"], text);
        const ask = predictor(parseRuleset(node.run(["nft", "list", "ruleset"])).tables);
        const askAgain = predictor(tablesBy(nftables));
        sender.check(list, (flow) => {
          const answer = ask(flow);
          assert.deepEqual(ends(askAgain(flow)), ends(answer));
          return answer;
        });
      }),
      { numRuns: 40, endOnFailure: true },
    );
  },
});

/** Rules as firewalld, fail2ban, hardened hosts and network plug-ins have them, in base chain forward. */
const COMMON: readonly string[] = [
  "add @seen { ip saddr limit rate over 10/minute burst 5 packets } drop",
  "add @seen { ip saddr limit rate 10/minute burst 5 packets } drop",
  "add @counted { ip saddr ct count over 20 } reject with icmp admin-prohibited",
  "update @seen { ip saddr counter } drop",
  "meter m { ip saddr limit rate over 10/minute } drop",
  "meter m { ip saddr ct count over 20 } drop",
  "meter m { ip saddr timeout 1m limit rate 10/minute } drop",
  "ct count over 20 drop",
  "ct count 20 ip saddr 10.1.0.2 drop",
  "ct count 20 ip saddr 10.1.0.3 drop",
  "limit rate over 10/minute drop",
  "quota over 1 mbytes drop",
  "quota 1 mbytes drop",
  "quota over 25 mbytes ip saddr 10.1.0.2 drop",
  "ip frag-off & 0x1fff != 0 drop",
  "ip frag-off & 0x3fff == 0 drop",
  "exthdr frag exists drop",
  "exthdr frag missing drop",
  "ip option lsrr exists drop",
  "ip option lsrr missing drop",
  "rt type 0 drop",
  'fib saddr . iif oifname != "left" drop',
  'fib saddr . iif oifname "left" drop',
  "fib saddr . mark . iif oif missing drop",
  "fib saddr . mark . iif oif 0 drop",
  "fib saddr . mark . iif oif exists drop",
  'fib daddr oifname "right" drop',
  'fib daddr oif "left" drop',
  "meta priority set 1:2 drop",
  "meta priority set none",
  "ip dscp set cs1 drop",
  "ct state vmap { established : accept, related : accept, new : drop }",
  "ct mark set meta mark | 0x10 ct mark & 0x10 == 0x10 drop",
  "ip saddr . ip daddr . udp dport { 10.1.0.0/24 . 10.2.0.2 . 1-80 } drop",
  'iifname . oifname { "left" . "right" } drop',
  'iifname . oifname vmap { "left" . "left" : accept, "left" . "right" : drop }',
  "ip daddr & 255.255.255.3 == 10.2.0.2 drop",
  "meta l4proto { icmp, ipv6-icmp } drop",
  'meta mark set 0x40 log prefix "x" level info flags all drop',
];

/** What netlink's expressions are not understood of. */
const UNTOLD = ["ip option"];

Deno.test({
  ...requires(
    "rules as other programs have them do with packets what is said of them",
    "root",
    "netns",
    "tun",
    "nft",
  ),
  fn() {
    using node = new KernelNode("iptables");
    using nftables = node.inside(() => Nftables.open());
    const sets = "set seen { type ipv4_addr; size 1000; flags dynamic,timeout; }\n" +
      "set counted { type ipv4_addr; size 1000; flags dynamic; }\n";
    for (const [i, text] of COMMON.entries()) {
      const chain = `chain c {\ntype filter hook forward priority 0;\n${text}\n}`;
      node.run(["nft", "-f", "-"], `flush ruleset\ntable inet t {\n${sets}${chain}\n}\n`);
      const ask = predictor(parseRuleset(node.run(["nft", "list", "ruleset"])).tables);
      const askAgain = predictor(tablesBy(nftables));
      const packet: Sent = {
        source: "10.1.0.2",
        sourcePort: 20_000 + i,
        dest: "10.2.0.2",
        port: 80,
        protocol: "UDP",
      };
      const { unknown, outcomes } = ask({ name: "", ...packet });
      assert.deepEqual(unknown, [], text);
      assert.deepEqual([node.send(packet)], outcomes.map((one) => fate(one, packet)), text);
      const told = askAgain({ name: "", ...packet });
      if (told.unknown.length === 0) {
        assert.deepEqual(told.outcomes.map((one) => fate(one, packet)), [node.send(packet)], text);
      }
      assert.equal(told.unknown.length > 0, UNTOLD.some((part) => text.includes(part)), text);
    }
  },
});

/** Base chains at the links "left", where packets come in, and "right", where they go on. */
const AT_LINKS: readonly (readonly [family: string, hook: string, link: string, rule: string])[] = [
  ["netdev", "ingress", "left", "udp dport 80 drop"],
  ["netdev", "ingress", "left", "udp dport 81 drop"],
  ["netdev", "ingress", "left", "ip saddr 10.1.0.2 meta mark set 0x7"],
  ["netdev", "ingress", "left", "meta protocol ip6 drop"],
  ["netdev", "ingress", "right", "drop"],
  ["netdev", "egress", "right", "udp dport 80 drop"],
  ["netdev", "egress", "right", "ip daddr 10.2.0.2 drop"],
  ["netdev", "egress", "right", "ip daddr 10.1.0.2 drop"],
  ["netdev", "egress", "right", "meta mark 0x7 drop"],
  ["netdev", "egress", "left", "drop"],
  ["inet", "ingress", "left", "ip daddr 10.2.0.2 drop"],
  ["inet", "ingress", "left", "ip6 daddr ::1 drop"],
  ["inet", "ingress", "left", 'iifname "left" meta mark set 0x7'],
  ["inet", "ingress", "right", "drop"],
];

Deno.test({
  ...requires(
    "rules where packets come in and go out do what is said of them",
    "root",
    "netns",
    "tun",
    "nft",
  ),
  fn() {
    using node = new KernelNode("iptables");
    using nftables = node.inside(() => Nftables.open());
    const rest = `table ip rest {
      chain f { type filter hook forward priority 0; meta mark 0x7 drop; }
      chain p { type nat hook postrouting priority 100; masquerade; }
    }`;
    for (const [i, [family, hook, link, rule]] of AT_LINKS.entries()) {
      const base = `type filter hook ${hook} device "${link}" priority 0;`;
      node.run(
        ["nft", "-f", "-"],
        `flush ruleset\n${rest}\ntable ${family} t {\nchain c {\n${base}\n${rule}\n}\n}\n`,
      );
      const packet: Sent = {
        source: "10.1.0.2",
        sourcePort: 30_000 + i,
        dest: "10.2.0.2",
        port: 80,
        protocol: "UDP",
      };
      const real = node.send(packet);
      for (
        const tables of [
          parseRuleset(node.run(["nft", "list", "ruleset"])).tables,
          tablesBy(nftables),
        ]
      ) {
        const { unknown, outcomes } = predictor(tables)({ name: "", ...packet });
        const what = `${family} ${hook} ${link} ${rule}`;
        assert.deepEqual(unknown, [], what);
        assert.deepEqual(outcomes.map((one) => fate(one, packet)), [real], what);
      }
    }
  },
});
