import assert from "node:assert/strict";
import fc from "fast-check";
import { DEFAULT_RULE_OPTIONS } from "../../../src/dataplane/iptables/options.ts";
import { render } from "../../../src/dataplane/iptables/render.ts";
import type { Answered, Flow } from "../../../src/explain/answer.ts";
import {
  answerer,
  type NodeState,
  parseNodeTables,
} from "../../../src/explain/iptables/explain.ts";
import { parseIpSets } from "../../../src/explain/netfilter/ipset.ts";
import { renderedSources } from "../../../src/explain/iptables/rendered_source.ts";
import { VirtualServerBalancer } from "../../../src/explain/ipvs/balancer.ts";
import { parseIpvsSave } from "../../../src/explain/ipvs/save_text.ts";
import { web } from "../../api/real_state.ts";
import { plannerOf } from "../../dataplane/iptables/plans.ts";
import { checkSenders, NODE, ROUTES } from "../senders.ts";
import { table } from "./kube_proxy_dump.ts";

const VIRTUAL = "10.9.0.1";

/** What asks for the source, every way that there is, and what doesn't. */
const MATCHES = [
  ...["10.0.0.1", "10.0.0.0/30", "10.0.0.0/24", "10.0.0.1,10.0.1.1", "10.0.0.1/255.0.0.255"]
    .flatMap((text) => [`-s ${text}`, `! -s ${text}`]),
  "-p tcp -m tcp --sport 1000:2000",
  "-p tcp -m tcp --sport 0:65535",
  "-p tcp -m multiport --sports 1:1500,3000",
  "-p tcp -m multiport --ports 4000,81",
  "-m addrtype --src-type LOCAL",
  "-m addrtype ! --src-type UNICAST",
  "-m addrtype --src-type LOCAL --limit-iface-in",
  "-i eth0",
  "! -i eth+",
  "-i lo",
  "-m conntrack --ctstate SNAT",
  "-m conntrack --ctorigsrc 10.0.0.2",
  "-m conntrack --ctrepldst 10.0.0.0/30",
  "-m conntrack --ctorigsrcport 1000:2000",
  "-m conntrack --ctrepldstport 4000",
  "-m set --match-set ADDRESSES src",
  "-m set ! --match-set PORTS dst,src",
  "-m set --match-set PORTS src,src",
  "-m set --match-set NETWORKS src",
  "-m set --match-set LIST src",
  "-m iprange --src-range 10.0.0.1-10.0.0.2",
  "-m recent --name seen --set",
  "-m recent --name seen --rcheck --seconds 60",
  "-m recent --name seen --set --rdest",
  "-m owner --uid-owner 3",
  "-m physdev --physdev-is-in",
  "-m statistic --mode random --probability 0.5",
  "-m mark --mark 0x1/0x1",
  "-d 10.0.0.3",
];

const SETS = parseIpSets(`create ADDRESSES hash:ip
add ADDRESSES 10.0.0.1
create PORTS hash:ip,port
add PORTS 10.0.0.3,tcp:1500
add PORTS 10.0.0.1,tcp:20
add PORTS 10.0.1.1,1000-2000
create NETWORKS hash:net
add NETWORKS 10.0.0.0/24
add NETWORKS 10.0.0.2 nomatch
create LIST list:set
add LIST ADDRESSES
add LIST ABSENT
`);

const SERVERS = `-A -t ${VIRTUAL}:80 -s rr
-a -t ${VIRTUAL}:80 -r 10.0.0.3:8080 -m
-A -t ${VIRTUAL}:0 -s rr -p 300
-a -t ${VIRTUAL}:0 -r 10.0.0.2:0 -m
`;

const HOOKS = { nat: ["PREROUTING", "OUTPUT", "POSTROUTING"], filter: ["INPUT", "FORWARD"] };
const TARGETS = {
  nat: [
    "DNAT --to-destination 10.0.0.1:80",
    "DNAT --to-destination 10.0.0.2",
    "MASQUERADE",
    "SNAT --to-source 10.0.0.1",
    "SNAT --to-source :3000",
    "NETMAP --to 10.0.1.0/24",
    "REDIRECT",
    "RETURN",
    "MARK --xor-mark 0x1",
    "T1",
  ],
  filter: ["ACCEPT", "DROP", "REJECT", "MARK --xor-mark 0x1", "T1"],
};

function rulesOf(name: "nat" | "filter"): fc.Arbitrary<string[]> {
  const rule = fc.record({
    chain: fc.constantFrom(...HOOKS[name], "T1"),
    matches: fc.subarray(MATCHES, { maxLength: 2 }),
    target: fc.constantFrom(...TARGETS[name]),
  });
  return fc.array(rule, { minLength: 1, maxLength: 6 }).map((rules) =>
    table(
      name,
      rules.map(({ chain, matches, target }) => ["-A", chain, ...matches, "-j", target].join(" ")),
    )
  );
}

const node: fc.Arbitrary<NodeState> = fc.record({
  nat: rulesOf("nat"),
  filter: rulesOf("filter"),
  routes: fc.boolean(),
  seen: fc.boolean(),
  servers: fc.boolean(),
}).map(({ nat, filter, routes, seen, servers }) => ({
  tables: parseNodeTables([...nat, ...filter, ""].join("\n")),
  nodeAddresses: [NODE],
  ipsets: SETS,
  routes: routes ? ROUTES : [],
  recent: seen ? new Map([["seen", [{ address: "10.0.0.1", secondsAgo: 3 }]]]) : new Map(),
  virtualAddresses: new Set(servers ? [VIRTUAL] : []),
  balancers: servers
    ? {
      IPv4: new VirtualServerBalancer(parseIpvsSave(SERVERS).IPv4, {
        templates: "none",
        assumed: new Set(),
      }),
    }
    : {},
}));

Deno.test("an answer that says that it is another sender's is that sender's, word for word", () => {
  checkSenders({ nodes: node, answerer, virtual: [VIRTUAL], numRuns: 500, leastSaid: 0.8 });
});

/** By our own rules for a Service with three endpoints. */
function askRendered(flow: Partial<Flow>): Answered {
  const { plan } = plannerOf(web());
  const { rules } = render(plan, "IPv4", DEFAULT_RULE_OPTIONS);
  const tables = { IPv4: renderedSources(rules) };
  const to = { name: "", dest: "10.0.1.175", port: 80, protocol: "TCP" } as const;
  return answerer({ tables, nodeAddresses: plan.node.addresses })({
    source: "10.180.0.77",
    ...to,
    ...flow,
  });
}

Deno.test("pods get one answer about a Service; endpoints, the node and the outside get others", () => {
  const { answer, sender } = askRendered({});
  assert.equal(answer.verdict, "FORWARD");
  const [{ address: endpoint }] = answer.backends;
  assert.deepEqual(
    ["10.180.0.78", "10.180.3.4", endpoint, "192.168.50.10", "192.168.50.100"]
      .map((source) => sender.sameFor(source)),
    [true, true, false, false, false],
  );
  assert.equal(sender.sameFor("10.180.0.78", 4000), true, "no rule asks for the port");
});
