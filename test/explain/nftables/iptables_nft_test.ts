/** Rules that iptables-nft has made, as netlink tells them, against the kernel. */

import assert from "node:assert/strict";
import { explainer, tablesOf } from "../../../src/explain/nftables/explain.ts";
import { Nftables } from "../../../src/netlink/netfilter/nftables/nftables.ts";
import { requires } from "../../requirements.ts";
import { KernelNode, NODE_ADDRESSES, type Sent } from "../iptables/kernel_node.ts";
import { fate, ROUTES } from "../kernel_packets.ts";
import { tablesBy } from "./kernel_tables.ts";

/** Rules of table filter in FORWARD, unless a table and chain stand in front. */
const RULES: readonly (string | readonly string[])[] = [
  "-m conntrack --ctstate NEW -j DROP",
  "-m conntrack ! --ctstate NEW -j DROP",
  "-m conntrack --ctstate RELATED,ESTABLISHED -j DROP",
  "-m conntrack ! --ctstate INVALID,UNTRACKED -j DROP",
  "-p udp -m multiport --dports 79,80 -j DROP",
  "-p udp -m multiport ! --dports 1:100 -j DROP",
  "-p udp -m multiport --dports 1:79,90 -j DROP",
  "-p udp -m multiport --sports 1:2 -j DROP",
  "-m addrtype --dst-type LOCAL -j DROP",
  "-m addrtype ! --dst-type LOCAL -j DROP",
  "-m addrtype --dst-type LOCAL,UNICAST -j DROP",
  "-j REJECT --reject-with icmp-admin-prohibited",
  "-p tcp -j REJECT --reject-with tcp-reset",
  "-i left -j DROP",
  "! -i left -j DROP",
  "-i le+ -j DROP",
  "-o right -m comment --comment x -j DROP",
  "-m limit --limit 3/min -j LOG --log-prefix x",
  ["mangle PREROUTING -j MARK --set-mark 0x4", "-m mark --mark 0x4 -j DROP"],
  ["mangle PREROUTING -j MARK --or-mark 0x40", "-m mark --mark 0x40/0x40 -j DROP"],
  ["mangle PREROUTING -j MARK --set-xmark 0x1/0x3", "-m mark ! --mark 0x1 -j DROP"],
  "nat PREROUTING -p udp -j DNAT --to-destination 10.2.0.3:90",
  "nat PREROUTING -p udp -j DNAT --to-destination :91",
  "nat PREROUTING -j DNAT --to-destination 10.2.0.4 --random",
  "nat POSTROUTING -j MASQUERADE",
  "nat POSTROUTING ! -o left -j MASQUERADE --random-fully",
];

function saved(rules: readonly string[]): string {
  const tables = new Map<string, string[]>();
  for (const rule of rules) {
    const [, table = "filter", chain = "FORWARD", rest] = /^(?:([a-z]+) ([A-Z]+) )?(.*)$/.exec(
      rule,
    )!;
    const lines = tables.get(table) ?? [];
    tables.set(table, [...lines, `-A ${chain} ${rest}`]);
  }
  const texts = [...tables].map(([table, lines]) => `*${table}\n${lines.join("\n")}\nCOMMIT\n`);
  return texts.join("");
}

Deno.test({
  ...requires(
    "rules of iptables-nft do with packets what is said of them",
    "root",
    "netns",
    "tun",
    "nft",
    "iptables",
  ),
  fn() {
    using node = new KernelNode("iptables");
    using nftables = node.inside(() => Nftables.open());
    for (const [i, given] of RULES.entries()) {
      const rules = typeof given === "string" ? [given] : given;
      const what = rules.join("; ");
      node.run(["nft", "flush", "ruleset"]);
      node.load(saved(rules));
      const tables = tablesOf({ tables: tablesBy(nftables) });
      const ask = explainer({ tables, nodeAddresses: NODE_ADDRESSES, routes: ROUTES });
      const packet: Sent = {
        source: "10.1.0.2",
        sourcePort: 40_000 + i,
        dest: "10.2.0.2",
        port: 80,
        protocol: "UDP",
      };
      const { unknown, outcomes } = ask({ name: "", ...packet });
      assert.deepEqual(unknown, [], what);
      assert.deepEqual(outcomes.map((one) => fate(one, packet)), [node.send(packet)], what);
    }
  },
});
