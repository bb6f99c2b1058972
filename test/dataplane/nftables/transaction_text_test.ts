import assert from "node:assert/strict";
import { affinitySet, fixedSets } from "../../../src/dataplane/nftables/sets.ts";
import {
  addressValue,
  commentText,
  concat,
  DROP,
  element,
  goto,
  IS_NEW,
  jump,
  number,
  rule,
  symbol,
} from "../../../src/dataplane/nftables/statements.ts";
import type { Operation } from "../../../src/dataplane/nftables/transaction.ts";
import { transactionPieces } from "../../../src/dataplane/nftables/transaction_text.ts";

function text(...operations: readonly Operation[]): string[] {
  return [...transactionPieces({ family: "ip6", table: "kube-proxy", operations })]
    .map((line) => line.replace(/\n$/, ""));
}

const [, services, nodePorts] = fixedSets("IPv6");

Deno.test("tables, chains and rules are written as nft takes them", () => {
  const base = {
    type: "filter",
    hook: "input",
    priority: 0,
    policy: "accept",
    devices: [],
  } as const;
  assert.deepEqual(
    text(
      { action: "add-table", comment: "rules" },
      { action: "add-table", comment: null },
      { action: "add-chain", name: "filter-input", base, comment: null },
      { action: "add-chain", name: "service-A/b", base: null, comment: null },
      { action: "add-chain", name: "reject-chain", base: null, comment: "helper" },
      {
        action: "add-rule",
        chain: "filter-input",
        rule: rule([IS_NEW, jump("service-A/b")], "why"),
      },
      { action: "flush-chain", name: "filter-input" },
      { action: "delete-chain", name: "service-A/b" },
      { action: "delete-table" },
    ),
    [
      'add table ip6 kube-proxy { comment "rules"; }',
      "add table ip6 kube-proxy",
      "add chain ip6 kube-proxy filter-input " +
      "{ type filter hook input priority filter; policy accept; }",
      "add chain ip6 kube-proxy service-A/b",
      'add chain ip6 kube-proxy reject-chain { comment "helper"; }',
      'add rule ip6 kube-proxy filter-input ct state new jump service-A/b comment "why"',
      "flush chain ip6 kube-proxy filter-input",
      "delete chain ip6 kube-proxy service-A/b",
      "delete table ip6 kube-proxy",
    ],
  );
});

Deno.test("sets, maps and elements are written as nft takes them", () => {
  const clients = affinitySet("IPv6", "affinity-A/b", 10800);
  assert.deepEqual(
    text(
      { action: "add-set", set: clients },
      { action: "add-set", set: nodePorts },
      {
        action: "add-elements",
        set: services,
        elements: [
          element(concat(addressValue("fd00::1"), symbol("tcp"), number(80)), goto("service-A/b")),
          element(concat(addressValue("fd00::2"), symbol("udp"), number(53)), DROP, "ns/dns:udp"),
        ],
      },
      {
        action: "delete-elements",
        set: nodePorts,
        elements: [element(concat(symbol("sctp"), number(30001)))],
      },
      { action: "flush-set", set: clients },
      { action: "delete-set", set: nodePorts },
    ),
    [
      "add set ip6 kube-proxy affinity-A/b " +
      "{ type ipv6_addr; size 65535; flags dynamic,timeout; timeout 3h; }",
      "add map ip6 kube-proxy no-endpoint-nodeports " +
      "{ type inet_proto . inet_service : verdict; comment " +
      '"vmap to drop or reject packets to service nodeports with no endpoints"; }',
      "add element ip6 kube-proxy no-endpoint-services { fd00::1 . tcp . 80 : goto service-A/b, " +
      'fd00::2 . udp . 53 comment "ns/dns:udp" : drop }',
      "delete element ip6 kube-proxy no-endpoint-nodeports { sctp . 30001 }",
      "flush set ip6 kube-proxy affinity-A/b",
      "delete map ip6 kube-proxy no-endpoint-nodeports",
    ],
  );
});

Deno.test("comments are cut to what nft keeps, and cannot end early", () => {
  assert.equal(commentText('a "b"\nc'), "a ?b??c");
  assert.equal(commentText("ns/web:http"), "ns/web:http");
  const long = commentText(`${"x".repeat(126)}äy`);
  assert.equal(long, "x".repeat(126));
  assert.equal(commentText("y".repeat(300)).length, 127);
});
