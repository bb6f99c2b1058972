import assert from "node:assert/strict";
import type { TableFamily } from "../../../../src/dataplane/nftables/language/ast.ts";
import {
  NftTextError,
  parseRule,
  parseRuleset,
} from "../../../../src/dataplane/nftables/language/parse.ts";
import {
  printRule,
  printRuleset,
  statementText,
} from "../../../../src/dataplane/nftables/language/print.ts";
import { REJECTING, RULES, TO_DESTINATIONS, TO_SOURCES } from "./rules.ts";

Deno.test("rules are written in the words in which nft lists them", () => {
  for (const text of [...RULES, ...REJECTING, ...TO_DESTINATIONS, ...TO_SOURCES]) {
    const rule = parseRule(text);
    assert.equal(printRule(rule), text);
    assert(rule.statements.every(({ kind }) => kind !== "unknown"), text);
  }
});

/** What people write, and what nft and we make of it. */
const FORMS: readonly (readonly [written: string, meant: string, family?: TableFamily])[] = [
  ["mark set mark or 0x4000", "meta mark set meta mark | 0x00004000"],
  ["mark and 0x4000 == 0 return", "meta mark & 0x00004000 == 0x00000000 return"],
  ["meta mark set 0x10", "meta mark set 0x00000010"],
  ["iifname eth0 accept", 'iifname "eth0" accept'],
  ["iif lo accept", 'iif "lo" accept'],
  ["tcp dport eq 22 accept", "tcp dport 22 accept"],
  ["tcp dport == 22 accept", "tcp dport 22 accept"],
  ["tcp dport {22,80-90} accept", "tcp dport { 22, 80-90 } accept"],
  ["tcp dport vmap {22:accept,23:drop}", "tcp dport vmap { 22 : accept, 23 : drop }"],
  ["meta l4proto 6 accept", "meta l4proto tcp accept"],
  ["meta l4proto icmpv6 accept", "meta l4proto ipv6-icmp accept"],
  ["tcp flags & (fin|syn|rst|ack) == syn", "tcp flags syn / fin,syn,rst,ack"],
  ["tcp flags & syn != 0", "tcp flags syn"],
  ["tcp flags ! fin,syn", "tcp flags & (fin | syn) == 0"],
  ["ct state established | new", "ct state == established,new"],
  ["ct state related,established  accept", "ct state established,related accept"],
  ["ct original saddr 10.0.0.1", "ct original ip saddr 10.0.0.1"],
  ["ip daddr 10.1.0.0-10.1.255.255", "ip daddr 10.1.0.0/16"],
  ["ip daddr 10.1.2.3/16", "ip daddr 10.1.0.0/16"],
  ["ip6 daddr FD00:0::0001", "ip6 daddr fd00::1", "ip6"],
  ["ip6 daddr ::ffff:10.0.0.1", "ip6 daddr ::ffff:10.0.0.1", "ip6"],
  ["ether saddr 00:1A:22:33:44:55", "ether saddr 00:1a:22:33:44:55"],
  ["reject with icmp type port-unreachable", "reject"],
  ["reject with icmp port-unreachable", "reject with icmp port-unreachable", "inet"],
  ["reject with icmpx port-unreachable", "reject", "inet"],
  ["dnat to [fd00::1]:80", "dnat to [fd00::1]:80", "ip6"],
  ["dnat to [fd00::1]-[fd00::6]:80-90", "dnat to [fd00::1]-[fd00::6]:80-90", "ip6"],
  ["dnat to fd00::1", "dnat to fd00::1", "ip6"],
  [
    "dnat ip to ip saddr map { 1.2.3.4 : 5.6.7.8 . 80 }",
    "dnat ip addr . port to ip saddr map { 1.2.3.4 : 5.6.7.8 . 80 }",
  ],
  ["dnat to 1.2.3.4:tcp dport map { 80 : 81 }", "dnat to 1.2.3.4:tcp dport map { 80 : 81 }"],
  ["dnat to :tcp dport map { 80 : 81 }", "dnat to :tcp dport map { 80 : 81 }"],
  ["set update ip saddr timeout 90s @clients", "update @clients { ip saddr timeout 1m30s }"],
  ["limit rate 10/second burst 5 packets", "limit rate 10/second"],
  ["counter name hits", 'counter name "hits"'],
];

Deno.test("one thing has one form, however it is written", () => {
  for (const [written, meant, family] of FORMS) {
    assert.equal(printRule(parseRule(written, family)), meant);
    assert.equal(printRule(parseRule(meant, family)), meant);
  }
});

/** Rules with something that is not known, and how much of each is. */
const STRANGE: readonly (readonly [rule: string, unknown: string])[] = [
  ['ip saddr 10.0.0.1 xt match "recent" counter packets 0 bytes 0 drop', 'xt match "recent"'],
  ["xt match recent tcp dport 80 drop", "xt match recent"],
  ['counter packets 1 bytes 60 xt target "TPROXY"', 'xt target "TPROXY"'],
  ["tcp dport 80 queue num 1-3 bypass,fanout", "queue num 1-3 bypass,fanout"],
  ["tcp dport 80 tproxy to :1 accept", "tproxy to :1"],
  ["ct count over 5 drop", "ct count over 5"],
  ["ct event set new,destroy accept", "ct event set new,destroy"],
  ["quota over 10 mbytes drop", "quota over 10 mbytes"],
  ["flow add @ft", "flow add @ft"],
  ["something { of, the } future accept", "something { of, the } future"],
];

Deno.test("what is not known is kept by its text, and nothing else with it", () => {
  for (const [text, unknown] of STRANGE) {
    const rule = parseRule(text);
    assert.equal(printRule(rule), text);
    const strange = rule.statements.filter(({ kind }) => kind === "unknown");
    assert.deepEqual(strange.map(statementText), [unknown]);
  }
});

/** As nft 1.0.6 with the extensions of iptables lists what Docker and iptables-nft have made. */
const DOCKER = `# Warning: table ip nat is managed by iptables-nft, do not touch!
table ip nat { # handle 1
	chain DOCKER { # handle 1
		iifname != "docker0" tcp dport 8080 counter packets 0 bytes 0 dnat to 172.17.0.2:80 # handle 6
	}

	chain POSTROUTING { # handle 4
		type nat hook postrouting priority srcnat; policy accept;
		oifname != "docker0" ip saddr 172.17.0.0/16 counter packets 0 bytes 0 masquerade # handle 5
	}
}
table ip filter { # handle 2
	chain INPUT { # handle 4
		type filter hook input priority filter + 5; policy drop;
		xt match recent counter packets 0 bytes 0 accept # handle 9
		counter packets 0 bytes 0 ct mark set mark # handle 10
	}
}
`;

Deno.test("dumps are read with handles and lines", () => {
  const { tables } = parseRuleset(DOCKER);
  assert.deepEqual(tables.map(({ name, handle }) => [name, handle]), [["nat", 1], ["filter", 2]]);
  const [docker, postrouting] = tables[0].chains;
  assert.deepEqual([docker.name, docker.handle, docker.base], ["DOCKER", 1, null]);
  assert.deepEqual(docker.rules.map(({ handle, line }) => [handle, line]), [[6, 4]]);
  assert.equal(postrouting.base?.priority, 100);
  const [input] = tables[1].chains;
  assert.equal(input.base?.priority, 5);
  assert.equal(input.base?.policy, "drop");
  assert.deepEqual(input.rules.map(({ handle, line }) => [handle, line]), [[9, 15], [10, 16]]);
});

Deno.test("a file for nft -f is read by what its commands come to", () => {
  const { tables } = parseRuleset(`
#!/usr/sbin/nft -f
flush ruleset
add table ip old
delete table ip old
add table ip t { comment "ours"; }
add chain ip t a { type filter hook input priority 0; policy drop; }
add chain ip t b
add set ip t s { type ipv4_addr; flags interval; elements = { 10.0.0.1, 10.0.0.2 }; }
add map ip t m { type inet_service : verdict; }
add element ip t s { 10.1.0.0/16 comment "net" }
delete element ip t s { 10.0.0.1 }
add element ip t m { 80 : goto b, 81 : drop }
add rule ip t a tcp dport vmap @m
add rule t a \\
  ip saddr @s accept comment "known"
insert rule ip t a ct state established accept
add rule ip t b drop
flush chain ip t b
`);
  assert.equal(
    printRuleset({ tables }),
    `table ip t {
	comment "ours"

	set s {
		type ipv4_addr
		flags interval
		elements = { 10.0.0.2,
			     10.1.0.0/16 comment "net" }
	}

	map m {
		type inet_service : verdict
		elements = { 80 : goto b,
			     81 : drop }
	}

	chain a {
		type filter hook input priority filter; policy drop;
		ct state established accept
		tcp dport vmap @m
		ip saddr @s accept comment "known"
	}

	chain b {
	}
}
`,
  );
});

/** Sets with what only other versions of nft know. */
const STRANGE_SETS = `table ip t {
	set s {
		type ipv4_addr
		size 65535
		flags dynamic
		last
		quota 500 bytes
		elements = { 1.2.3.4 last used 1s timeout 5m expires 4m,
			     1.2.3.5 ct count over 10 comment "x",
			     10.0.0.0 to 10.0.0.9,
			     1.2.3.6 }
	}

	map m {
		typeof something new : meta mark
		elements = { 1:2 : 0x00000001,
			     0x1/0x3 : 0x00000002,
			     5 : 0x00000003 }
	}
}
`;

Deno.test("sets with what is not known are read as far as they are", () => {
  const { tables } = parseRuleset(STRANGE_SETS);
  assert.equal(printRuleset({ tables }), STRANGE_SETS);
  const [set, map] = tables[0].sets;
  assert.deepEqual(set.statements.map(({ kind }) => kind), ["unknown", "unknown"]);
  assert.deepEqual(set.elements.map(({ key }) => key.kind), [
    "address",
    "address",
    "symbol",
    "address",
  ]);
  assert.deepEqual(map.data, ["mark"]);
  assert.deepEqual(map.elements.map(({ key }) => key.kind), ["symbol", "symbol", "number"]);
});

/** Text that is not nft's, and what is said of it. */
const WRONG: readonly (readonly [text: string, message: string])[] = [
  ["*filter", 'line 1: expected a table, or add, insert, delete or flush, not "*filter"'],
  ["table ip t {\n", "line 2: expected a table's part, not the end of the text"],
  ["table ip t {\n chain c {\n  accept", "line 3: expected a rule, not the end of the text"],
  [
    "table ip t {\n chain c {\n  type filter hook nowhere priority 0\n }\n}",
    'line 3: expected a hook\'s name, not "nowhere"',
  ],
  [
    "table ip t {\n chain c {\n  type filter hook input priority soon\n }\n}",
    'line 3: expected a priority, not "soon"',
  ],
  [
    "table ip t {\n set s {\n  colour red\n }\n}",
    'line 3: expected a set\'s property, not "colour"',
  ],
  [
    "table ip t {\n set s {\n  type mark\n  elements = { 1, 2\n }\n}",
    "line 6: expected a table's part, not the end of the text",
  ],
  ['table ip t {\n comment "x\n}', "line 2: a quoted text has no end"],
  ["\nadd rule ip t c accept", 'line 2: expected a table that was added before, not "ip"'],
];

Deno.test("text that is not nft's is refused by its line", () => {
  for (const [text, message] of WRONG) {
    assert.throws(() => parseRuleset(text), (error) => {
      assert(error instanceof NftTextError);
      assert.equal(error.message, message);
      return true;
    });
  }
});
