import assert from "node:assert/strict";
import type { Flow } from "../../../src/explain/answer.ts";
import { explain, type NodeState, parseNodeTables } from "../../../src/explain/iptables/explain.ts";
import { parseIpSets } from "../../../src/explain/netfilter/ipset.ts";
import { parseNetwork } from "../../../src/net/address.ts";

const NODE = "192.168.0.2";

/** Whether a rule of FORWARD with these words matches, or why that is not known. */
function matches(
  words: string,
  flow: Partial<Flow> = {},
  node: Partial<NodeState> = {},
  chain = "FORWARD",
): boolean | string {
  const table = `*filter\n:${chain} ACCEPT [0:0]\n-A ${chain} ${words} -j DROP\nCOMMIT\n`;
  const answer = explain(
    { name: "", source: "10.1.0.1", dest: "10.2.0.2", port: 80, protocol: "TCP", ...flow },
    {
      tables: {
        [flow.dest?.includes(":") ? "IPv6" : "IPv4"]: parseNodeTables(table)[
          flow.dest?.includes(":") ? "IPv6" : "IPv4"
        ],
      },
      nodeAddresses: [NODE],
      ...node,
    },
  );
  if (answer.unknown.length > 0) {
    assert.equal(answer.verdict, "PASS", "what is not known is taken as no match");
    return answer.unknown[0].reason;
  }
  return answer.verdict === "DROP";
}

function table(
  name: string,
  cases: readonly (readonly [string, boolean | string, Partial<Flow>?])[],
) {
  Deno.test(name, () => {
    for (const [words, expected, flow] of cases) {
      assert.equal(matches(words, flow), expected, `${words} on ${JSON.stringify(flow ?? {})}`);
    }
  });
}

const NO_SOURCE_PORT = "the flow's source port is not given";

table("addresses, protocols and fragments", [
  ["-s 10.1.0.0/16", true],
  ["-s 10.1.0.1", true],
  ["! -s 10.1.0.0/16", false],
  ["-s 10.3.0.0/16,10.1.0.0/16", true],
  ["-d 10.0.0.2/255.0.0.255", true],
  ["-d 10.0.0.3/255.0.0.255", false],
  ["--source 10.1.0.1 --destination 10.2.0.2", true],
  ["-p tcp", true],
  ["-p 6", true],
  ["-p udp", false],
  ["! -p udp", true],
  ["-p all", true],
  ["-p sctp", true, { protocol: "SCTP" }],
  ["-p 132", true, { protocol: "SCTP" }],
  ["-p ospf", false],
  ["-p strange", "match base: protocol strange is not known"],
  ["-f", false],
  ["! -f", true],
  ["-s 10.1.0.x", "match base: 10.1.0.x is not an address"],
]);

table("ports", [
  ["-p tcp -m tcp --dport 80", true],
  ["-p tcp --dport 80", true],
  ["-p tcp -m tcp --dport 79:81", true],
  ["-p tcp -m tcp ! --dport 80:81", false],
  ["-p tcp -m tcp --dport 81:", false],
  ["-p tcp -m tcp --dport :80", true],
  ["-m tcp -p tcp --dport 80", true],
  ["-p udp -m udp --dport 80", false],
  ["-p tcp -m tcp --sport 1024", NO_SOURCE_PORT],
  ["-p tcp -m tcp --sport 1024 --dport 81", false],
  ["-p tcp -m tcp --sport 0:65535", true],
  ["-p tcp -m tcp --sport 1024:", true, { sourcePort: 5000 }],
  ["-p tcp -m tcp --dport http", "match tcp: http is not a port or a range of ports"],
  ["-p tcp -m tcp --syn", true],
  ["-p tcp -m tcp ! --syn", false],
  ["-p tcp -m tcp --tcp-flags SYN,ACK ACK", false],
  ["-p tcp -m tcp --tcp-flags ALL SYN", true],
  ["-p tcp -m tcp --tcp-flags ALL NONE", false],
  ["-p tcp -m tcp --syn", "the packet's TCP flags are not known", { state: "ESTABLISHED" }],
  ["-p tcp -m multiport --dports 22,80:90", true],
  ["-p tcp -m multiport ! --dports 22,80:90", false],
  ["-p tcp -m multiport --destination-ports 443", false],
  ["-p tcp -m multiport --ports 80", true],
  ["-p tcp -m multiport --ports 81", NO_SOURCE_PORT],
  ["-p tcp -m multiport --sports 81", true, { sourcePort: 81 }],
  ["-p sctp -m sctp --dport 80", true, { protocol: "SCTP" }],
  ["-p icmp -m icmp --icmp-type 8", false],
]);

table("marks", [
  ["-m mark --mark 0x0", true],
  ["-m mark ! --mark 0x4000/0x4000", true],
  ["-m mark --mark 0x4000/0x4000", false],
  ["-m connmark --mark 0x0/0x1", true],
  ["-m connmark ! --mark 0x0/0x1", false, { state: "UNTRACKED" }],
  ["-m connmark --mark 0x1", "the connection's mark is not known", { state: "ESTABLISHED" }],
  ["-m mark --mark 0x1ffffffff", "match mark: 0x1ffffffff is not a 32-bit number"],
]);

table("connection tracking", [
  ["-m conntrack --ctstate NEW", true],
  ["-m conntrack --ctstate NEW,ESTABLISHED", true],
  ["-m conntrack ! --ctstate NEW", false],
  ["-m state --state RELATED,ESTABLISHED", false],
  ["-m state --state RELATED,ESTABLISHED", true, { state: "RELATED" }],
  ["-m conntrack --ctstate INVALID", true, { state: "INVALID" }],
  ["-m conntrack --ctstate UNTRACKED --ctproto 17", true, { state: "UNTRACKED" }],
  ["-m conntrack ! --ctproto 17", false, { state: "UNTRACKED" }],
  ["-m conntrack --ctstate DNAT", false],
  ["-m conntrack ! --ctstate RELATED,ESTABLISHED,DNAT", true],
  [
    "-m conntrack --ctstate DNAT",
    "how the connection was translated is not known",
    { state: "ESTABLISHED" },
  ],
  ["-m conntrack --ctorigdst 10.2.0.0/16 --ctorigdstport 80 --ctproto 6", true],
  ["-m conntrack --ctorigdst 10.3.0.0/16", false],
  ["-m conntrack --ctorigsrc 10.1.0.1 --ctreplsrc 10.2.0.2 --ctrepldst 10.1.0.1", true],
  ["-m conntrack --ctdir REPLY", false],
  ["-m conntrack --ctstatus SEEN_REPLY,ASSURED", false],
  ["-m conntrack --ctexpire 10", "match conntrack: option --ctexpire is not understood"],
]);

table("address types", [
  ["-m addrtype --dst-type UNICAST", true],
  ["-m addrtype --dst-type LOCAL", false],
  ["-m addrtype ! --dst-type LOCAL", true],
  ["-m addrtype ! --src-type LOCAL,MULTICAST", true],
  ["-m addrtype --dst-type MULTICAST", true, { dest: "224.0.0.1" }],
  ["-m addrtype --dst-type BROADCAST", true, { dest: "255.255.255.255" }],
  ["-m addrtype --src-type LOCAL --limit-iface-out", false],
  ["-m addrtype --dst-type MARTIAN", "match addrtype: address type MARTIAN is not known"],
]);

table("counters, limits and what passes by", [
  ["-m comment --comment anything", true],
  ["-m nfacct --nfacct-name counter", true],
  ["-m limit --limit 5/min", true],
  ["-m hashlimit --hashlimit-upto 5/sec --hashlimit-burst 5 --hashlimit-name a", true],
  ["-m hashlimit --hashlimit-above 5/sec --hashlimit-burst 5 --hashlimit-name a", false],
  ["-m connlimit --connlimit-above 2 --connlimit-mask 32 --connlimit-saddr", false],
  ["-m connlimit --connlimit-above 0 --connlimit-mask 32 --connlimit-saddr", true],
  ["-m connlimit --connlimit-upto 2 --connlimit-mask 32 --connlimit-saddr", true],
  ["-m iprange --src-range 10.1.0.0-10.1.0.9", true],
  ["-m iprange ! --src-range 10.1.0.0-10.1.0.9", false],
  ["-m iprange --dst-range 10.2.0.3-10.2.0.9", false],
  ["-m owner --uid-owner 1000", false],
  ["-m physdev --physdev-is-bridged", "whether the packet passed a bridge is not known"],
]);

table("what is not known is named, unless something known decides", [
  ["-m u32 --u32 0x0=0x45", "match u32 is not known"],
  ["-m strange --option a b ! --other", "match strange is not known"],
  ["-m strange --option a b -p udp", false],
  ["-p udp -m strange --option", false],
  ["-m recent --name x --rttl --rcheck", "match recent: option --rttl needs packets seen before"],
  ["-m tcp -p tcp --dport 80 --tcp-option 5", "match tcp: option --tcp-option is not understood"],
  ["-m statistic --mode sometimes", "match statistic: statistic mode sometimes is not known"],
  ["-m set --match-set allowed src", "what set allowed holds is not given"],
  ["constructor", "match base: option constructor is not understood"],
]);

Deno.test("interfaces: by the routes, none where there is none, else not known", () => {
  const routes = [
    { network: parseNetwork("0.0.0.0/0")!, interface: "eth0" },
    { network: parseNetwork("10.1.0.0/16")!, interface: "cni0" },
  ];
  const cases: [string, boolean | string][] = [
    ["-i cni0", true],
    ["-i cni+", true],
    ["! -i cni0", false],
    ["-i eth0", false],
    ["-o eth0", true],
    ["-o eth+", true],
    ["! -o lo", true],
    ["-o +", true],
  ];
  for (const [words, expected] of cases) {
    assert.equal(matches(words, {}, { routes }), expected, words);
  }
  assert.equal(matches("-i cni0"), "the packet's input interface is not known");
  assert.equal(matches("-o cni0"), "the packet's output interface is not known");
  assert.equal(matches("-i lo"), false);
  assert.equal(matches("! -i lo"), true);
  assert.equal(matches("-i +"), true);
  assert.equal(matches("-o eth0", { dest: NODE }, { routes }, "INPUT"), false);
  assert.equal(matches("! -o eth0", { dest: NODE }, { routes }, "INPUT"), true);
  const local = { source: NODE, dest: NODE };
  assert.equal(matches("-o lo", local, { routes }, "OUTPUT"), true);
  assert.equal(matches("-i lo", local, { routes }, "INPUT"), true);
});

Deno.test("local addresses: the node's and loopback's", () => {
  const local = "-m addrtype --dst-type LOCAL";
  assert.equal(matches(local, { dest: NODE }, {}, "INPUT"), true);
  assert.equal(matches(local, { dest: "127.0.0.9" }, {}, "INPUT"), true);
  assert.equal(
    matches("-m addrtype --src-type LOCAL", { source: NODE }, {}, "OUTPUT"),
    true,
  );
  const reason = "the node's own addresses are not given";
  assert.equal(matches(local, {}, { nodeAddresses: [] }), reason);
  assert.equal(matches(local, {}, { nodeAddresses: ["fd00::1"] }), reason);
  assert.equal(
    matches("-m addrtype --dst-type LOCAL --limit-iface-in", { dest: NODE }, {}, "INPUT"),
    `which interface has the address ${NODE} is not known`,
  );
});

Deno.test("IPv6 addresses match", () => {
  const flow = { source: "fd00:1::1", dest: "fd00:2::2" };
  const v6 = (words: string) => matches(`-s fd00:1::/32 ${words}`, flow);
  assert.equal(v6("-d fd00:2::2/128"), true);
  assert.equal(v6("! -d fd00:2::2/128"), false);
  assert.equal(v6("-p tcp -m tcp --dport 80"), true);
  assert.equal(v6("-m addrtype --dst-type MULTICAST"), false);
  assert.equal(v6("-p ipv6-icmp -m icmp6 --icmpv6-type 128"), false);
});

Deno.test("the processes of the node are not known, those of others have none", () => {
  const words = "-m owner --uid-owner 1000";
  assert.equal(matches(words, { source: NODE }, {}, "OUTPUT"), "which process sends is not known");
});

const SETS = `create nets hash:net family inet hashsize 1024 maxelem 65536
add nets 10.1.0.0/16
add nets 10.1.0.0/24 nomatch
add nets 10.1.0.1
create services hash:ip,port family inet hashsize 1024 maxelem 65536 timeout 0
add services 10.2.0.2,tcp:80 timeout 300
add services 10.2.0.2,udp:1000-1010
create triples hash:ip,port,ip family inet
add triples 10.2.0.2,tcp:80,10.1.0.1
create ports bitmap:port range 0-65535
add ports 80-90
create ranges bitmap:ip range 10.0.0.0-10.255.255.255
add ranges 10.2.0.0-10.2.0.5
create both list:set size 8
add both ports
add both nets
create macs hash:mac
add macs 00:11:22:33:44:55
create loops list:set size 8
add loops loops
`;

Deno.test("sets hold what ipset save says", () => {
  const ipsets = parseIpSets(SETS);
  const cases: [string, boolean | string, Partial<Flow>?][] = [
    ["nets src", true],
    ["nets src", false, { source: "10.1.0.2" }],
    ["nets src", true, { source: "10.1.1.2" }],
    ["nets dst", false],
    ["services dst,dst", true],
    ["services dst,dst", false, { port: 81 }],
    ["services dst,dst", true, { port: 1005, protocol: "UDP" }],
    ["services dst,src", NO_SOURCE_PORT],
    ["services src,src", false],
    ["services dst", false],
    ["triples dst,dst,src", true],
    ["triples dst,dst,dst", false],
    ["ports dst", true],
    ["ports dst", false, { port: 91 }],
    ["ranges dst", true],
    ["ranges src", false],
    ["both dst", true],
    ["macs src", "set macs holds mac, which is not known of the packet"],
    ["loops src", "what set loops holds is not given"],
    ["absent src", "what set absent holds is not given"],
    ["nets sideways", "match set: set direction sideways is not known"],
  ];
  for (const [words, expected, flow] of cases) {
    assert.equal(matches(`-m set --match-set ${words}`, flow, { ipsets }), expected, words);
  }
  assert.equal(matches("-m set ! --match-set nets src", {}, { ipsets }), false);
});

Deno.test("wrong set dumps are refused with their line", () => {
  assert.throws(() => parseIpSets("add nets 10.0.0.1"), /line 1: set nets was not created/);
  assert.throws(
    () => parseIpSets("create n hash:net family inet\n\nadd n 10.0.0.300"),
    /line 3: 10\.0\.0\.300 is not an element of hash:net/,
  );
  assert.throws(() => parseIpSets("hello"), /line 1: expected create or add, not "hello"/);
});

Deno.test("lists of recent clients: age, count, update, removal and negation", () => {
  const recent = new Map([
    ["x", [5, 20, 40].map((secondsAgo) => ({ address: "10.1.0.1", secondsAgo }))],
  ]);
  const cases: [string, boolean][] = [
    ["--rcheck --name x", true],
    ["! --rcheck --name x", false],
    ["--rcheck --seconds 4 --name x", false],
    ["--update --seconds 5 --name x", true],
    ["--rcheck --seconds 30 --hitcount 2 --name x", true],
    ["--rcheck --seconds 30 --hitcount 3 --name x", false],
    ["--rcheck --seconds 30 --reap --name x --mask 255.255.255.255 --rsource", true],
    ["--rcheck --name x --rdest", false],
    ["--remove --name x", true],
    ["--rcheck --name y", false],
    ["! --rcheck --name y", true],
    ["--set --name y", true],
    ["--rcheck", false],
  ];
  for (const [words, expected] of cases) {
    assert.equal(matches(`-m recent ${words}`, {}, { recent }), expected, words);
  }
});

table("ipvs, of packets that no virtual server has taken", [
  ["-m ipvs --ipvs", false],
  ["-m ipvs ! --ipvs", true],
  ["-m ipvs --vaddr 10.2.0.2/32", false],
  ["-m ipvs ! --vaddr 10.9.0.2/32", false],
]);
