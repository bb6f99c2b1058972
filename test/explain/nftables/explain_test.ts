import assert from "node:assert/strict";
import { parseRuleset } from "../../../src/dataplane/nftables/language/parse.ts";
import type { Answer, Flow } from "../../../src/explain/answer.ts";
import { explain, tablesOf } from "../../../src/explain/nftables/explain.ts";
import { formatSocketAddress, parseNetwork } from "../../../src/net/address.ts";

const NODE_ADDRESSES = ["192.168.0.2", "fd00::2"];
const CLIENT = "203.0.113.5";

function ask(rules: string, flow: Partial<Flow> = {}): Answer {
  const asked = { name: "", source: CLIENT, dest: "10.9.0.1", port: 80, protocol: "TCP" } as const;
  return explain({ ...asked, ...flow }, {
    tables: tablesOf(parseRuleset(rules)),
    nodeAddresses: NODE_ADDRESSES,
    routes: [
      { network: parseNetwork("10.244.0.0/16")!, interface: "cni0" },
      { network: parseNetwork("0.0.0.0/0")!, interface: "eth0" },
    ],
  });
}

/** The ends in short: "50% FORWARD 10.0.0.1:80 masqueraded". */
function ends({ outcomes }: Answer): string[] {
  return outcomes.map(({ verdict, backend, probability, masquerade }) =>
    [
      `${Number((100 * probability).toFixed(3))}%`,
      verdict,
      ...backend === null ? [] : [formatSocketAddress(backend.address, backend.port)],
      ...masquerade ? ["masqueraded"] : [],
    ].join(" ")
  );
}

/** What each rule did, in order. */
function actions({ steps }: Answer): string[] {
  return steps.filter(({ table }) => table !== null).map(({ chain, action }) =>
    `${chain}: ${action}`
  );
}

/** One table of family ip with base chains by "TYPE HOOK PRIORITY", and other chains by name. */
function table(name: string, chains: Readonly<Record<string, readonly string[]>>, more = "") {
  const texts = Object.entries(chains).map(([key, rules]) => {
    const [type, hook, priority, policy = "accept"] = key.split(" ");
    return hook === undefined
      ? `chain ${type} {\n${rules.join("\n")}\n}`
      : `chain ${hook}-${type} {\ntype ${type} hook ${hook} priority ${priority}; policy ${policy};\n${
        rules.join("\n")
      }\n}`;
  });
  return `table ${name} {\n${more}\n${texts.join("\n")}\n}\n`;
}

Deno.test("accept ends one base chain, and drop all of them", () => {
  const one = table("ip one", { "filter forward 0": ["accept", "drop"] });
  assert.deepEqual(ends(ask(one)), ["100% PASS"]);
  const both = one + table("ip two", { "filter forward 5": ["ip saddr 203.0.113.5 drop"] });
  assert.deepEqual(ends(ask(both)), ["100% DROP"]);
  assert.deepEqual(ends(ask(both, { source: "203.0.113.6" })), ["100% PASS"]);
});

Deno.test("base chains are called by their priorities, of families ip and inet in one order", () => {
  const rules = table("inet late", { "filter forward 10": ["meta mark 0x1 drop"] }) +
    table("ip early", { "filter forward -10": ["meta mark set 0x1"] });
  assert.deepEqual(ends(ask(rules)), ["100% DROP"]);
  assert.deepEqual(ends(ask(rules, { source: "fd00::9", dest: "fd00::99" })), ["100% PASS"]);
});

Deno.test("chains of type nat are called where NAT is, whatever their priority", () => {
  const rules = table("ip nat", { "nat prerouting -300": ["dnat to 10.244.0.7"] }) +
    table("ip filter", { "filter prerouting -110": ["ip daddr 10.244.0.7 drop"] });
  assert.deepEqual(ends(ask(rules)), ["100% FORWARD 10.244.0.7:80"]);
  const later = rules.replace("priority -110", "priority -90");
  assert.deepEqual(ends(ask(later)), ["100% DROP"]);
});

Deno.test("a connection's destination is translated once, by the first chain that does", () => {
  const rules = table("ip one", { "nat prerouting -90": ["dnat to 10.244.0.1"] }) +
    table("ip two", { "nat prerouting -95": ["tcp dport 80 dnat to 10.244.0.2"] });
  assert.deepEqual(ends(ask(rules)), ["100% FORWARD 10.244.0.2:80"]);
  assert.deepEqual(ends(ask(rules, { port: 81 })), ["100% FORWARD 10.244.0.1:81"]);
  assert.deepEqual(ends(ask(rules, { state: "ESTABLISHED" })), ["100% PASS"]);
});

Deno.test("jump comes back behind its rule, goto behind its caller's, return to the caller", () => {
  const rules = (how: string) =>
    table("ip t", {
      leaf: ["tcp dport 81 return", "meta mark set meta mark | 0x1"],
      middle: [`${how} leaf`, "meta mark set meta mark | 0x2"],
      "filter forward 0 drop": ["jump middle", "meta mark 0x3 accept", "meta mark 0x1 reject"],
    });
  assert.deepEqual(ends(ask(rules("jump"))), ["100% PASS"]);
  assert.deepEqual(ends(ask(rules("goto"))), ["100% REJECT"]);
  assert.deepEqual(ends(ask(rules("goto"), { port: 81 })), ["100% DROP"]);
});

Deno.test("chances are exact, however many there are", () => {
  const count = 1000;
  const map = Array.from({ length: count }, (_, i) => `${i} : goto b${i % 3}`).join(", ");
  const rules = table("ip t", {
    b0: ["dnat to 10.244.0.1"],
    b1: ["dnat to 10.244.0.2"],
    b2: ["meta l4proto tcp dnat to 10.244.0.3:8080"],
    "nat prerouting dstnat": [`numgen random mod ${count} vmap { ${map} }`],
    "nat postrouting srcnat": ["numgen inc mod 4 offset 7 8 masquerade"],
  });
  assert.deepEqual(ends(ask(rules)).sort(), [
    "24.975% FORWARD 10.244.0.2:80",
    "24.975% FORWARD 10.244.0.3:8080",
    "25.05% FORWARD 10.244.0.1:80",
    "8.325% FORWARD 10.244.0.2:80 masqueraded",
    "8.325% FORWARD 10.244.0.3:8080 masqueraded",
    "8.35% FORWARD 10.244.0.1:80 masqueraded",
  ]);
});

Deno.test("a rule is told with the first of many elements", () => {
  const map = Array.from({ length: 100 }, (_, i) => `${i} : goto b${i}`);
  const chains = Object.fromEntries(map.map((_, i) => [`b${i}`, [`dnat to 10.244.0.${i}`]]));
  const rule = `numgen random mod 100 vmap { ${map.join(", ")} }`;
  const { steps } = ask(table("ip t", { ...chains, "nat prerouting dstnat": [rule] }));
  const texts = new Set(steps.filter(({ rule }) => rule !== null).map(({ text }) => text));
  assert.equal(texts.size, 101);
  const told = "numgen random mod 100 vmap { 0 : goto b0, 1 : goto b1, 2 : goto b2, ... 97 more }";
  assert(texts.has(told));
});

const STICKY = (elements: string) =>
  table(
    "ip kube-proxy",
    {
      "endpoint-a": ["update @a { ip saddr }", "meta l4proto tcp dnat to 10.244.0.1:8080"],
      "endpoint-b": ["update @b { ip saddr }", "meta l4proto tcp dnat to 10.244.0.2:8080"],
      services: [
        "ip saddr @a goto endpoint-a",
        "ip saddr @b goto endpoint-b",
        "numgen random mod 2 vmap { 0 : goto endpoint-a, 1 : goto endpoint-b }",
      ],
      "nat prerouting dstnat": ["jump services"],
    },
    `set a {\ntype ipv4_addr\nflags dynamic,timeout\ntimeout 3h\n}
    set b {\ntype ipv4_addr\nflags dynamic,timeout\ntimeout 3h\n${elements}\n}`,
  );

Deno.test("clients are new unless the dump has them among those of an endpoint", () => {
  const unknown = ask(STICKY(""));
  assert.deepEqual(ends(unknown), [
    "50% FORWARD 10.244.0.1:8080",
    "50% FORWARD 10.244.0.2:8080",
  ]);
  assert(
    actions(unknown).includes(`services: no match: set a does not hold ${CLIENT}: a new client`),
  );
  assert(actions(unknown).includes(`endpoint-a: set a now holds ${CLIENT}`));
  const known = ask(STICKY(`elements = { ${CLIENT} expires 2h59m }`));
  assert.deepEqual(ends(known), ["100% FORWARD 10.244.0.2:8080"]);
});

const SERVICES = `table ip kube-proxy {
	map service-ips {
		type ipv4_addr . inet_proto . inet_service : verdict
		elements = { 10.9.0.1 . tcp . 80 : goto service-ULMVA6XW-shop/web/tcp/http,
			     10.9.0.2 . tcp . 80 : goto service-ABCDEFGH-shop/plain/tcp/ }
	}
	map no-endpoint-services {
		type ipv4_addr . inet_proto . inet_service : verdict
		elements = { 10.9.0.3 . tcp . 80 comment "shop/empty:http" : goto reject-chain,
			     10.9.0.4 . tcp . 80 comment "shop/local:http" : drop }
	}
	chain reject-chain {
		reject comment "helper for @no-endpoint-services / @no-endpoint-nodeports"
	}
	chain service-endpoints-check {
		ip daddr . meta l4proto . th dport vmap @no-endpoint-services
	}
	chain mark-for-masquerade {
		meta mark set meta mark | 0x00004000
	}
	chain endpoint-X7Y8Z9AB-shop/web/tcp/http__10.244.0.1/8080 {
		ip saddr 10.244.0.1 jump mark-for-masquerade
		meta l4proto tcp dnat to 10.244.0.1:8080
	}
	chain service-ULMVA6XW-shop/web/tcp/http {
		numgen random mod 1 vmap { 0 : goto endpoint-X7Y8Z9AB-shop/web/tcp/http__10.244.0.1/8080 }
	}
	chain service-ABCDEFGH-shop/plain/tcp/ {
		drop
	}
	chain services {
		ip daddr . meta l4proto . th dport vmap @service-ips
	}
	chain masquerading {
		meta mark & 0x00004000 == 0x00000000 return
		meta mark set meta mark ^ 0x00004000
		masquerade fully-random
	}
	chain nat-prerouting {
		type nat hook prerouting priority dstnat; policy accept;
		jump services
	}
	chain nat-output {
		type nat hook output priority -100; policy accept;
		jump services
	}
	chain nat-postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		jump masquerading
	}
	chain filter-forward {
		type filter hook forward priority filter; policy accept;
		ct state new jump service-endpoints-check
	}
}
`;

Deno.test("a packet is in a set as soon as it was put in, of that table alone", () => {
  const set = "set seen {\ntype ipv4_addr\nflags dynamic\n}";
  const rules = (update: string) =>
    table("ip one", { "filter forward 0": [update, "ip saddr @seen meta mark set 0x1"] }, set) +
    table("ip two", { "filter forward 1": ["meta mark 0x1 ip saddr != @seen drop"] }, set);
  assert.deepEqual(ends(ask(rules("update @seen { ip saddr }"))), ["100% DROP"]);
  assert.deepEqual(ends(ask(rules("update @seen { ip daddr }"))), ["100% PASS"]);
});

Deno.test("Services are named by chains and by elements' comments", () => {
  const of = (dest: string, source = CLIENT) => {
    const answer = ask(SERVICES, { dest, source });
    return [answer.service, ...ends(answer)];
  };
  assert.deepEqual(of("10.9.0.1"), ["shop/web:http", "100% FORWARD 10.244.0.1:8080"]);
  assert.deepEqual(of("10.9.0.1", "10.244.0.1"), [
    "shop/web:http",
    "100% FORWARD 10.244.0.1:8080 masqueraded",
  ]);
  assert.deepEqual(of("10.9.0.1", "192.168.0.2"), [
    "shop/web:http",
    "100% FORWARD 10.244.0.1:8080",
  ]);
  assert.deepEqual(of("10.9.0.2"), ["shop/plain", "100% DROP"]);
  assert.deepEqual(of("10.9.0.3"), ["shop/empty:http", "100% REJECT"]);
  assert.deepEqual(of("10.9.0.4"), ["shop/local:http", "100% DROP"]);
  assert.deepEqual(of("10.9.0.5"), [null, "100% PASS"]);
});

Deno.test("a step says where its rule stands in the dump", () => {
  const { steps } = ask(SERVICES, { dest: "10.9.0.3" });
  const { table, chain, rule, line, text, action } = steps.find(({ chain }) =>
    chain === "service-endpoints-check"
  )!;
  assert.deepEqual([table, chain, rule, line], ["ip kube-proxy", "service-endpoints-check", 1, 16]);
  assert.equal(SERVICES.split("\n")[line! - 1].trim(), text);
  assert.equal(action, "goes to reject-chain; by element 10.9.0.3 . tcp . 80");
});

/** As firewalld and Docker (by iptables-nft) have them on one node. */
const FOREIGN = `table inet firewalld {
	chain filter_PREROUTING {
		type filter hook prerouting priority filter + 10; policy accept;
		icmpv6 type { nd-router-advert, nd-neighbor-solicit } accept
		meta nfproto ipv6 fib saddr . mark . iif oif missing drop
	}
	chain filter_INPUT {
		type filter hook input priority filter + 10; policy accept;
		ct state { established, related } accept
		ct status dnat accept
		iifname "lo" accept
		ct state invalid drop
		jump filter_INPUT_ZONES
		reject with icmpx admin-prohibited
	}
	chain filter_INPUT_ZONES {
		ip saddr 198.51.100.0/24 goto filter_IN_trusted
		iifname "eth0" goto filter_IN_public
		goto filter_IN_public
	}
	chain filter_IN_trusted {
		accept
	}
	chain filter_IN_public {
		tcp dport 22 accept
		tcp dport { 8000-8100 } limit rate 10/second burst 5 packets accept
		meta l4proto { icmp, ipv6-icmp } reject with icmpx admin-prohibited
	}
}
table ip nat {
	chain DOCKER {
		iifname != "docker0" tcp dport 8080 counter packets 0 bytes 0 dnat to 172.17.0.2:80
	}
	chain PREROUTING {
		type nat hook prerouting priority dstnat; policy accept;
		fib daddr type local counter packets 0 bytes 0 jump DOCKER
	}
	chain POSTROUTING {
		type nat hook postrouting priority srcnat; policy accept;
		oifname != "docker0" ip saddr 172.17.0.0/16 counter packets 0 bytes 0 masquerade
	}
}
table ip filter {
	chain FORWARD {
		type filter hook forward priority filter; policy drop;
		ct state related,established  counter packets 0 bytes 0 accept
		meta l4proto tcp ip daddr 172.17.0.2 tcp dport 80 counter packets 0 bytes 0 accept
		xt match "physdev" counter packets 0 bytes 0
	}
	chain INPUT {
		type filter hook input priority filter; policy accept;
		xt match "recent" tcp dport 9999 counter packets 0 bytes 0 drop
	}
}
`;

Deno.test("rules of other firewalls are followed", () => {
  const node = "192.168.0.2";
  const to = (port: number, flow: Partial<Flow> = {}) => {
    const answer = ask(FOREIGN, { dest: node, port, ...flow });
    return [...ends(answer), ...answer.unknown.map(({ reason }) => reason)];
  };
  assert.deepEqual(to(22), ["100% PASS"]);
  assert.deepEqual(to(23), ["100% REJECT"]);
  assert.deepEqual(to(23, { source: "198.51.100.9" }), ["100% PASS"]);
  assert.deepEqual(to(23, { source: node }), ["100% PASS"]);
  assert.deepEqual(to(8050), ["100% PASS"]);
  assert.deepEqual(to(8080), ["100% FORWARD 172.17.0.2:80"]);
  assert.deepEqual(to(80, { dest: "172.17.0.9" }), ["100% DROP"]);
  assert.deepEqual(to(22, { dest: "fd00::2", source: "fd00::77" }), ["100% PASS"]);
  assert.deepEqual(to(9999), ["100% REJECT", 'xt match "recent" is not understood']);
});

Deno.test("what cannot be decided is told, where it makes a difference", () => {
  const rules = (...list: string[]) => table("ip t", { "filter forward 0": list });
  const unknown = (...list: string[]) => ask(rules(...list)).unknown.map(({ reason }) => reason);
  assert.deepEqual(unknown("meta skuid 0 drop"), [], "what is forwarded has no process");
  assert.deepEqual(unknown("meta length > 100 drop"), ["the packet's meta length is not known"]);
  assert.deepEqual(unknown("meta length > 100 counter"), []);
  assert.deepEqual(unknown("meta length > 100 accept"), []);
  assert.deepEqual(unknown("meta length > 100 accept", "drop"), [
    "the packet's meta length is not known",
  ]);
  assert.deepEqual(unknown("meta length > 100 drop", "drop"), []);
  assert.deepEqual(unknown("meta length > 100 tcp dport 81 drop"), []);
  assert.deepEqual(unknown("ip saddr @nowhere drop"), ["what set nowhere holds is not given"]);
  assert.deepEqual(unknown("ip saddr { 10.0.0.0 to 10.0.0.9 } drop"), [
    "an element is not understood",
  ]);
  assert.deepEqual(unknown("jump nowhere"), ["what chain nowhere has is not given"]);
  assert.deepEqual(unknown("tcp sport 1-1023 drop"), ["the flow's source port is not given"]);
  assert.deepEqual(unknown("tcp sport 0-65535 continue"), []);
  assert.deepEqual(unknown("queue num 1"), ["queue num 1 is not understood"]);
  assert.deepEqual(unknown("dup to 10.0.0.1 device lo"), []);
});

Deno.test("dormant tables see nothing", () => {
  const dormant = table("ip t", { "filter forward 0 drop": [] }, "flags dormant");
  assert.deepEqual(ends(ask(dormant)), ["100% PASS"]);
});

/** Chains of a table at links, by "HOOK DEVICES PRIORITY". */
function atLinks(name: string, chains: Readonly<Record<string, readonly string[]>>): string {
  const texts = Object.entries(chains).map(([key, rules], i) => {
    const [hook, devices, priority] = key.split(" ");
    const links = devices.split(",").map((device) => `"${device}"`).join(", ");
    const base = `type filter hook ${hook} devices = { ${links} } priority ${priority};`;
    return `chain c${i} {\n${base}\n${rules.join("\n")}\n}`;
  });
  return `table ${name} {\n${texts.join("\n")}\n}\n`;
}

Deno.test("rules at links are for packets that come in, or go out, through these", () => {
  const drop = ["tcp dport 80 drop"];
  const verdict = (rules: string, flow: Partial<Flow> = {}) => {
    const { verdict, unknown } = ask(rules, flow);
    assert.deepEqual(unknown, []);
    return verdict;
  };
  assert.equal(verdict(atLinks("netdev t", { "ingress eth0 0": drop })), "DROP");
  assert.equal(verdict(atLinks("netdev t", { "ingress eth1,eth* 0": drop })), "DROP");
  assert.equal(verdict(atLinks("inet t", { "ingress eth0 0": drop })), "DROP");
  assert.equal(verdict(atLinks("netdev t", { "ingress cni0,lo 0": drop })), "PASS");
  assert.equal(verdict(atLinks("netdev t", { "ingress eth0 0": drop }), { port: 81 }), "PASS");
  assert.equal(verdict(atLinks("netdev t", { "egress eth0 0": drop })), "DROP");
  assert.equal(verdict(atLinks("netdev t", { "egress cni0 0": drop })), "PASS");
  const { steps } = ask(atLinks("netdev t", { "ingress eth0 0": ["meta mark set 0x1", ...drop] }));
  assert.deepEqual(steps.map(({ hook, chain, action }) => [hook, chain, action]), [
    ["INGRESS", "c0", "mark becomes 0x1"],
    ["INGRESS", "c0", "dropped"],
  ]);
  const marks = atLinks("inet t", { "ingress eth0 5": ["meta mark set 0x2"] }) +
    atLinks("netdev t", {
      "ingress eth0 0": ["meta mark set 0x1"],
      "egress eth0 0": ["ip saddr 192.168.0.2 meta mark 0x2 drop"],
    }) + table("ip t", { "nat postrouting 100": ["masquerade"] });
  assert.equal(verdict(marks), "DROP");
  const self = { source: "192.168.0.2", dest: "192.168.0.2" };
  for (const hook of ["ingress", "egress"]) {
    assert.equal(verdict(atLinks("netdev t", { [`${hook} lo 0`]: drop }), self), "DROP");
    assert.equal(verdict(atLinks("netdev t", { [`${hook} eth0 0`]: drop }), self), "PASS");
  }
});

Deno.test("where links are not known, rules at them are told that would do something", () => {
  const said = (rules: readonly string[]) => {
    const text = atLinks("netdev t", { "ingress eth0 0": rules });
    const tables = tablesOf(parseRuleset(text));
    const packet = { name: "", source: CLIENT, dest: "10.9.0.1", port: 80 } as const;
    const answer = explain({ ...packet, protocol: "TCP" }, {
      tables,
      nodeAddresses: NODE_ADDRESSES,
    });
    assert.deepEqual([answer.verdict, answer.steps.length], ["PASS", 1]);
    return answer.unknown.map(({ table, chain, text, reason }) => [table, chain, text, reason]);
  };
  const doubt = [[
    "netdev t",
    "c0",
    'hook ingress device "eth0"',
    "whether the packet comes in through such a link is not known: not followed",
  ]];
  assert.deepEqual(said(["tcp dport 80 drop"]), doubt);
  assert.deepEqual(said(["meta mark set 0x1"]), doubt);
  assert.deepEqual(said(["fwd to eth1"]), doubt);
  assert.deepEqual(said(["udp dport 80 drop", "counter", "ip saddr 10.0.0.0/8 drop"]), []);
});

Deno.test("what the node sends to itself comes in through lo, translated as it went out", () => {
  const rules = table("ip t", {
    "nat output -100": ["tcp dport 80 redirect to :8080"],
    "filter input 0 drop": ['iifname "lo" ct state new ct status dnat accept'],
    "filter output 0": ['oifname "lo" meta mark set 0x1'],
  });
  const answer = ask(rules, { source: "192.168.0.2", dest: "10.9.0.1" });
  assert.deepEqual(ends(answer), ["100% FORWARD 127.0.0.1:8080"]);
});

Deno.test("what IPv6 packets are not: mapped, in fragments, with routing headers", () => {
  const packet = { source: "fd00::9", dest: "fd00::99" };
  const verdict = (rule: string) => {
    const answer = ask(table("inet t", { "filter forward 0": [rule] }), packet);
    assert.deepEqual(answer.unknown, [], rule);
    return answer.verdict;
  };
  const rules: readonly [rule: string, verdict: string][] = [
    ["ip6 daddr { ::/96, ::ffff:0.0.0.0/96, 2002::/24 } reject", "PASS"],
    ["ip6 daddr { ::/96, ::ffff:0.0.0.0/96, fd00::/24 } reject", "REJECT"],
    ["ip6 daddr != ::ffff:0.0.0.0/96 drop", "DROP"],
    ["exthdr frag exists drop", "PASS"],
    ["exthdr frag missing drop", "DROP"],
    ["rt type 0 drop", "PASS"],
    ["ip option lsrr missing drop", "PASS"],
    ["ip frag-off & 0x1fff == 0 drop", "PASS"],
  ];
  for (const [rule, expected] of rules) assert.equal(verdict(rule), expected, rule);
});

Deno.test("quotas tell how much of them is used", () => {
  const verdict = (rule: string) => ask(table("ip t", { "filter forward 0": [rule] })).verdict;
  assert.equal(verdict("quota over 1 mbytes used 1048575 bytes drop"), "PASS");
  assert.equal(verdict("quota over 1 mbytes used 1025 kbytes drop"), "DROP");
  assert.equal(verdict("quota 1 mbytes used 1 kbytes drop"), "DROP");
  assert.equal(verdict("quota until 1 mbytes used 2 mbytes drop"), "PASS");
  const named = ask(table("ip t", { "filter forward 0": ['quota name "q" drop'] }));
  assert.deepEqual(named.unknown.map(({ reason }) => reason), ['quota name "q" is not understood']);
});
