import assert from "node:assert/strict";
import { canonicalRule } from "../../../src/dataplane/iptables/canonical.ts";
import { splitWords } from "../../../src/dataplane/iptables/save_text.ts";
import type { Family } from "../../../src/net/address.ts";

function key(text: string, family: Family = "IPv4"): string {
  return canonicalRule(splitWords(text)!, family);
}

/** What was written, and what iptables-save 1.8.9 printed for it. */
const PRINTED: readonly [written: string, printed: string, family?: Family][] = [
  [
    '-m comment --comment "ns/b cluster IP" -m udp -p udp -d 10.0.0.2 --dport 80 ! -s 10.1.0.0/16 -j X',
    '! -s 10.1.0.0/16 -d 10.0.0.2/32 -p udp -m comment --comment "ns/b cluster IP" -m udp --dport 80 -j X',
  ],
  [
    "-m comment --comment ns1/svc1:p80 -m recent --name A --set -m tcp -p tcp -j DNAT --to-destination 10.180.0.1:80",
    '-p tcp -m comment --comment "ns1/svc1:p80" -m recent --set --name A --mask 255.255.255.255 --rsource -m tcp -j DNAT --to-destination 10.180.0.1:80',
  ],
  [
    "-m recent --name A --rcheck --seconds 10800 --reap -j X",
    "-m recent --rcheck --seconds 10800 --reap --name A --mask 255.255.255.255 --rsource -j X",
  ],
  [
    "-m recent --name A --rcheck --seconds 10800 --reap -j X",
    "-m recent --rcheck --seconds 10800 --reap --name A --mask ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff --rsource -j X",
    "IPv6",
  ],
  [
    "-m statistic --mode random --probability 0.3333333333 -j X",
    "-m statistic --mode random --probability 0.33333333349 -j X",
  ],
  ["-j MARK --or-mark 0x00004000", "-j MARK --set-xmark 0x4000/0x4000"],
  ["-j MARK --xor-mark 0x00004000", "-j MARK --set-xmark 0x4000/0x0"],
  ["-j MARK --or-mark 0x80000000", "-j MARK --set-xmark 0x80000000/0x80000000"],
  [
    "-m mark ! --mark 0x00004000/0x00004000 -j RETURN",
    "-m mark ! --mark 0x4000/0x4000 -j RETURN",
  ],
  [
    "-m tcp -p tcp --dport 1 -j REJECT",
    "-p tcp -m tcp --dport 1 -j REJECT --reject-with icmp-port-unreachable",
  ],
  ["-j REJECT", "-j REJECT --reject-with icmp6-port-unreachable", "IPv6"],
  [
    "-m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT",
    "-m conntrack --ctstate ESTABLISHED,RELATED -j ACCEPT",
  ],
  ["-s fd00:0::1 -d ::/0 -j X", "-s fd00::1/128 -j X", "IPv6"],
  ["-s 0.0.0.0/0 -j X", "-j X"],
  ['-m comment --comment "-j ACCEPT"', '-m comment --comment "-j ACCEPT"'],
];

for (const [written, printed, family] of PRINTED) {
  Deno.test(`the same rule has the same key: ${written}`, () => {
    assert.equal(key(written, family), key(printed, family));
  });
}

Deno.test("rules that differ have different keys", () => {
  const rules = [
    "-s 10.0.0.1 -j X",
    "! -s 10.0.0.1 -j X",
    "-d 10.0.0.1 -j X",
    "-s 10.0.0.1/31 -j X",
    "! -s 0.0.0.0/0 -j X",
    "-s 10.0.0.1 -g X",
    "-s 10.0.0.1 -j Y",
    "-p tcp -m tcp --dport 80 -j X",
    "-p udp -m udp --dport 80 -j X",
    "-p tcp -m tcp ! --dport 80 -j X",
    "-p tcp -m tcp --sport 80 -j X",
    "-m statistic --mode random --probability 0.5 -j X",
    "-m statistic --mode random --probability 0.5000000010 -j X",
    "-m mark --mark 0x4000 -j X",
    "-m mark --mark 0x4000/0x4000 -j X",
    "-j MARK --set-xmark 0x4000/0x4000",
    "-j MARK --set-xmark 0x4000/0xffffffff",
    "-m recent --name A --set -j X",
    "-m recent --name A --rcheck -j X",
    "-m recent --name A --set --mask 255.255.255.0 -j X",
    "-m recent --name A --set --rdest -j X",
    '-m comment --comment "a b" -j X',
    "-m comment --comment a -j X",
    "-j X",
    "",
  ];
  assert.equal(new Set(rules.map((rule) => key(rule))).size, rules.length);
});
