/** What a plan is rendered to in ipvs mode. */

import assert from "node:assert/strict";
import type { ClusterObject } from "../../../src/cluster/objects.ts";
import { DEFAULT_IPVS_OPTIONS, type IpvsOptions } from "../../../src/dataplane/ipvs/options.ts";
import { render } from "../../../src/dataplane/ipvs/render.ts";
import type { IpvsState } from "../../../src/dataplane/ipvs/state.ts";
import { ipvsStructure } from "../../../src/dataplane/ipvs/structure.ts";
import { ipvsText, ipvsTexts } from "../../../src/dataplane/ipvs/text.ts";
import { type Family, familyOf } from "../../../src/net/address.ts";
import type { PlannerConfig } from "../../../src/plan/node.ts";
import { plannerOf, service, slice } from "./plans.ts";

const HTTP = [{ name: "http", port: 80, protocol: "TCP" }];
const NODE_PORT = [{ ...HTTP[0], nodePort: 30080 }];
const BACKEND = [{ name: "http", port: 8080, protocol: "TCP" }];

interface Given {
  readonly config?: Partial<PlannerConfig>;
  readonly options?: Partial<IpvsOptions>;
  readonly family?: Family;
}

function rendered(objects: readonly ClusterObject[], given: Given = {}): IpvsState {
  const { config, options, family = "IPv4" } = given;
  const { plan } = plannerOf(objects, config);
  return render(plan, family, { ...DEFAULT_IPVS_OPTIONS, ...options }).state;
}

/** The virtual servers as ipvsadm-save prints them. */
const servers = (state: IpvsState) => ipvsTexts(state).servers.trimEnd().split("\n");
/** The entries of sets that have some. */
const sets = (state: IpvsState) =>
  Object.fromEntries(
    [...state.sets.values()].filter(({ entries }) => entries.length > 0)
      .map(({ name, entries }) => [name, entries]),
  );

/** A Service with everything. */
const balanced = (policy: "Cluster" | "Local", endpoints: readonly string[]) => [
  service("web", "10.96.0.1", NODE_PORT, {
    type: "LoadBalancer",
    externalTrafficPolicy: policy,
    externalIPs: ["198.51.100.7"],
    loadBalancerSourceRanges: ["10.0.0.0/8", "192.168.0.0/16"],
    ...(policy === "Local" ? { healthCheckNodePort: 32000 } : {}),
    status: { loadBalancer: { ingress: [{ ip: "203.0.113.1" }] } },
  }),
  slice("web", BACKEND, endpoints),
];

Deno.test("policy Cluster: every address leads to every endpoint", () => {
  const state = rendered(balanced("Cluster", ["10.244.0.1", "10.244.0.2"]));
  const behind = (server: string) => [
    `-A ${server} -s rr`,
    `-a ${server} -r 10.244.0.1:8080 -m -w 1`,
    `-a ${server} -r 10.244.0.2:8080 -m -w 1`,
  ];
  assert.deepEqual(servers(state), [
    ...behind("-t 10.96.0.1:80"),
    ...behind("-t 192.168.50.10:30080"),
    ...behind("-t 198.51.100.7:80"),
    ...behind("-t 203.0.113.1:80"),
  ]);
  assert.deepEqual(sets(state), {
    "KUBE-LOOP-BACK": ["10.244.0.1,tcp:8080,10.244.0.1"],
    "KUBE-CLUSTER-IP": ["10.96.0.1,tcp:80"],
    "KUBE-EXTERNAL-IP": ["198.51.100.7,tcp:80"],
    "KUBE-LOAD-BALANCER": ["203.0.113.1,tcp:80"],
    "KUBE-LOAD-BALANCER-FW": ["203.0.113.1,tcp:80"],
    "KUBE-LOAD-BALANCER-SOURCE-CIDR": [
      "203.0.113.1,tcp:80,10.0.0.0/8",
      "203.0.113.1,tcp:80,192.168.0.0/16",
    ],
    // The node's address is in one of the ranges.
    "KUBE-LOAD-BALANCER-SOURCE-IP": ["203.0.113.1,tcp:80,203.0.113.1"],
    "KUBE-NODE-PORT-TCP": ["30080"],
    "KUBE-IPVS-IPS": ["10.96.0.1", "198.51.100.7", "203.0.113.1"],
  });
  assert.deepEqual([...state.addresses], ["10.96.0.1", "198.51.100.7", "203.0.113.1"]);
});

Deno.test("policy Local: pods and the node are led to the cluster IP, others stay here", () => {
  const state = rendered(balanced("Local", ["10.244.0.1", "10.244.0.2"]));
  assert.deepEqual(servers(state), [
    "-A -t 10.96.0.1:80 -s rr",
    "-a -t 10.96.0.1:80 -r 10.244.0.1:8080 -m -w 1",
    "-a -t 10.96.0.1:80 -r 10.244.0.2:8080 -m -w 1",
    ...["192.168.50.10:30080", "198.51.100.7:80", "203.0.113.1:80"].flatMap((end) => [
      `-A -t ${end} -s rr`,
      `-a -t ${end} -r 10.244.0.1:8080 -m -w 1`,
    ]),
  ]);
  const found = sets(state);
  assert.deepEqual(found["KUBE-ALL-INSIDE"], [
    "192.168.50.10,tcp:30080",
    "198.51.100.7,tcp:80",
    "203.0.113.1,tcp:80",
  ]);
  assert.deepEqual(found["KUBE-HEALTH-CHECK-NODE-PORT"], ["32000"]);
  assert.deepEqual(found["KUBE-NODE-PORT-LOCAL-TCP"], ["30080"]);
  const web = "-m comment --comment ns/web:http -m tcp -p tcp";
  assert.deepEqual(state.rules.nat.get("KUBE-IPVS-SHORT-CIRCUIT"), [
    // Whom the load balancer does not admit is not led around its firewall.
    "-m set --match-set KUBE-LOAD-BALANCER-FW dst,dst " +
    "-m set ! --match-set KUBE-LOAD-BALANCER-SOURCE-CIDR dst,dst,src " +
    "-m set ! --match-set KUBE-LOAD-BALANCER-SOURCE-IP dst,dst,src -j RETURN",
    "-m addrtype --src-type LOCAL ! -s 10.244.0.0/16 -j KUBE-MARK-MASQ",
    `${web} -d 198.51.100.7 --dport 80 -j DNAT --to-destination 10.96.0.1:80`,
    `${web} -d 203.0.113.1 --dport 80 -j DNAT --to-destination 10.96.0.1:80`,
    `${web} --dport 30080 -j DNAT --to-destination 10.96.0.1:80`,
  ]);
});

Deno.test("policy Local with nothing here: others are dropped, pods and the node go elsewhere", () => {
  const state = rendered(balanced("Local", ["10.244.0.2"]));
  assert.ok(servers(state).includes("-a -t 203.0.113.1:80 -r 10.244.0.2:8080 -m -w 1"));
  const found = sets(state);
  assert.equal(found["KUBE-ALL-INSIDE"], undefined);
  assert.equal(found["KUBE-DROP-OUTSIDE"].length, 3);
  assert.deepEqual(state.rules.filter.get("KUBE-IPVS-POLICY"), [
    '-m comment --comment "Kubernetes service ip + port without endpoints on this node for ' +
    'traffic from outside" -m set --match-set KUBE-DROP-OUTSIDE dst,dst -m conntrack --ctstate NEW ' +
    "! -s 10.244.0.0/16 -m addrtype ! --src-type LOCAL -j DROP",
  ]);
});

Deno.test("both policies Local: it is the others who are led to the cluster IP", () => {
  const [web, endpoints] = balanced("Local", ["10.244.0.1", "10.244.0.2"]);
  const local = structuredClone(web) as { spec: Record<string, unknown> };
  local.spec.internalTrafficPolicy = "Local";
  const state = rendered([local as unknown as ClusterObject, endpoints]);
  assert.deepEqual(servers(state).filter((line) => line.startsWith("-a -t 10.96.0.1")), [
    "-a -t 10.96.0.1:80 -r 10.244.0.1:8080 -m -w 1",
  ]);
  assert.ok(servers(state).includes("-a -t 203.0.113.1:80 -r 10.244.0.2:8080 -m -w 1"));
  assert.equal(sets(state)["KUBE-LOCAL-OUTSIDE"].length, 3);
  assert.ok(
    state.rules.nat.get("KUBE-SERVICES")!.some((rule) =>
      rule.includes("KUBE-LOCAL-OUTSIDE dst,dst -m addrtype ! --src-type LOCAL ! -s 10.244.0.0/16")
    ),
  );
});

Deno.test("without endpoints a server has none, and is refused; Local inside is dropped", () => {
  const local = { internalTrafficPolicy: "Local" };
  const state = rendered([
    service("none", "10.96.0.2", HTTP),
    service("elsewhere", "10.96.0.3", HTTP, local),
    slice("elsewhere", BACKEND, ["10.244.0.2"]),
  ]);
  assert.deepEqual(servers(state), ["-A -t 10.96.0.2:80 -s rr"]);
  assert.deepEqual(sets(state)["KUBE-REJECT"], ["10.96.0.2,tcp:80"]);
  assert.deepEqual(sets(state)["KUBE-DROP"], ["10.96.0.3,tcp:80"]);
  assert.deepEqual(
    state.rules.filter.get("KUBE-IPVS-POLICY")!.map((rule) => rule.replace(/^.*-j /, "")),
    ["REJECT --reject-with tcp-reset", "REJECT", "DROP"],
  );
});

Deno.test("other protocols and IPv6", () => {
  const ports = [
    { name: "u", port: 53, protocol: "UDP", nodePort: 30053 },
    { name: "s", port: 9, protocol: "SCTP", nodePort: 30009 },
  ];
  const state = rendered([
    service("six", "fd00:96::1", ports, {
      ipFamilies: ["IPv6"],
      type: "NodePort",
      sessionAffinity: "ClientIP",
      externalTrafficPolicy: "Local",
    }),
    slice("six", ports.map(({ nodePort: _, ...port }) => port), ["fd00:244::1"]),
  ], { family: "IPv6" });
  assert.deepEqual(servers(state), [
    "-A --sctp-service [fd00:50::10]:30009 -s rr -p 10800",
    "-a --sctp-service [fd00:50::10]:30009 -r [fd00:244::1]:9 -m -w 1",
    "-A -u [fd00:50::10]:30053 -s rr -p 10800",
    "-a -u [fd00:50::10]:30053 -r [fd00:244::1]:53 -m -w 1",
    "-A -u [fd00:96::1]:53 -s rr -p 10800",
    "-a -u [fd00:96::1]:53 -r [fd00:244::1]:53 -m -w 1",
    "-A --sctp-service [fd00:96::1]:9 -s rr -p 10800",
    "-a --sctp-service [fd00:96::1]:9 -r [fd00:244::1]:9 -m -w 1",
  ]);
  assert.deepEqual(sets(state), {
    "KUBE-6-LOOP-BACK": ["fd00:244::1,sctp:9,fd00:244::1", "fd00:244::1,udp:53,fd00:244::1"],
    "KUBE-6-CLUSTER-IP": ["fd00:96::1,sctp:9", "fd00:96::1,udp:53"],
    "KUBE-6-NODE-PORT-UDP": ["30053"],
    "KUBE-6-NODE-PORT-LOCAL-UDP": ["30053"],
    "KUBE-6-NODE-PORT-SCTP-HASH": ["fd00:50::10,sctp:30009"],
    "KUBE-6-NODE-PORT-LOCAL-SCTP-HAS": ["fd00:50::10,sctp:30009"],
    "KUBE-6-IPVS-IPS": ["fd00:96::1"],
  });
  assert.equal(state.rules.nat.get("KUBE-SERVICES")![0], "-s ::1/128 -j RETURN");
});

Deno.test("schedulers and flags, those of a Service before the default", () => {
  const annotated = (name: string, ip: string, scheduler: string, flags?: string) =>
    service(name, ip, HTTP, {
      annotations: {
        "switchyard.io/ipvs-scheduler": scheduler,
        ...(flags === undefined ? {} : { "switchyard.io/ipvs-scheduler-flags": flags }),
      },
    });
  const state = rendered([
    service("plain", "10.96.0.1", HTTP),
    annotated("sticky", "10.96.0.2", "sh", "sh-port, sh-fallback"),
    annotated("maglev", "10.96.0.3", "mh"),
    annotated("missing", "10.96.0.4", "twos"),
    annotated("wrong", "10.96.0.5", "best"),
  ], {
    config: { scheduler: "lc" },
    options: {
      scheduling: { scheduler: "lc", flags: [] },
      missingSchedulers: new Set(["twos"] as const),
    },
  });
  assert.deepEqual(servers(state), [
    "-A -t 10.96.0.1:80 -s lc",
    "-A -t 10.96.0.2:80 -s sh -b sh-port,sh-fallback",
    // As kube-proxy asks for it, and nobody is refused while an endpoint leaves.
    "-A -t 10.96.0.3:80 -s mh -b mh-fallback,mh-port",
    "-A -t 10.96.0.4:80 -s lc",
    "-A -t 10.96.0.5:80 -s lc",
  ]);
});

Deno.test("addresses of other links stay there, and node ports are where they may be", () => {
  const state = rendered([
    service("web", "10.96.0.1", NODE_PORT, {
      type: "NodePort",
      externalIPs: ["192.168.50.10", "198.51.100.9", "198.51.100.10"],
    }),
  ], {
    config: {
      nodeAddresses: ["192.168.50.10"],
      localAddresses: ["10.1.2.3"],
      nodePortAddresses: ["192.168.0.0/16"],
    },
    options: { otherAddresses: new Set(["198.51.100.9"]) },
  });
  assert.deepEqual([...state.addresses], ["10.96.0.1", "198.51.100.10"]);
  assert.deepEqual([...state.servers.keys()].filter((name) => name.includes("30080")), [
    "192.168.50.10:30080/TCP",
  ]);
});

Deno.test("an endpoint that IPVS takes no connections for is left out, and named", () => {
  const { plan } = plannerOf([
    service("web", "10.96.0.1", HTTP),
    slice("web", BACKEND, ["10.244.0.2", "255.255.255.255"]),
  ]);
  const { state, problems } = render(plan, "IPv4", DEFAULT_IPVS_OPTIONS);
  assert.deepEqual(servers(state).slice(1), ["-a -t 10.96.0.1:80 -r 10.244.0.2:8080 -m -w 1"]);
  assert.deepEqual(problems, [{
    service: "ns/web",
    message: "ns/web:http: endpoint 255.255.255.255: IPVS forwards to no such address",
  }]);
});

Deno.test("an address that is no single host's is left out, and named", () => {
  const balancer = (ip: string) => ({
    type: "LoadBalancer",
    status: { loadBalancer: { ingress: [{ ip }] } },
  });
  const { plan } = plannerOf([
    // As minikube says it of its tunnel.
    service("web", "10.96.0.1", HTTP, balancer("127.0.0.1")),
    service("six", "fd00:96::1", HTTP, { ipFamilies: ["IPv6"], ...balancer("fe80::1") }),
  ]);
  for (
    const [family, service, port, address] of [
      ["IPv4", "ns/web", "10.96.0.1:80/TCP", "127.0.0.1"],
      ["IPv6", "ns/six", "[fd00:96::1]:80/TCP", "fe80::1"],
    ] as const
  ) {
    const { state, problems } = render(plan, family, DEFAULT_IPVS_OPTIONS);
    assert.deepEqual([...state.servers.keys()], [port]);
    assert.equal(state.addresses.size, 1);
    const message = `${service}:http: address ${address}: no Service can have it`;
    assert.deepEqual(problems, [{ service, message }]);
  }
  const others = ["0.0.0.0", "127.0.0.53", "224.0.0.18", "255.255.255.255", "::", "::1", "ff02::1"];
  for (const address of others) {
    const { plan } = plannerOf([
      address.includes(":")
        ? service("six", "fd00:96::1", HTTP, { ipFamilies: ["IPv6"], ...balancer(address) })
        : service("web", "10.96.0.1", HTTP, balancer(address)),
    ]);
    const { state, problems } = render(plan, familyOf(address), DEFAULT_IPVS_OPTIONS);
    assert.deepEqual([state.addresses.size, problems.length], [1, 1], address);
  }
});

Deno.test("sources from anywhere are two halves, as sets have no whole", () => {
  const state = rendered([
    service("web", "10.96.0.1", HTTP, {
      type: "LoadBalancer",
      loadBalancerSourceRanges: ["0.0.0.0/0", "192.0.2.1/32"],
      status: { loadBalancer: { ingress: [{ ip: "203.0.113.1" }] } },
    }),
  ]);
  assert.deepEqual(sets(state)["KUBE-LOAD-BALANCER-SOURCE-CIDR"], [
    "203.0.113.1,tcp:80,0.0.0.0/1",
    "203.0.113.1,tcp:80,128.0.0.0/1",
    "203.0.113.1,tcp:80,192.0.2.1",
  ]);
  assert.deepEqual(state.rules.filter.get("KUBE-IPVS-OUT-FILTER"), [
    '-m comment --comment "kubernetes ipvs endpoint policy" -j KUBE-IPVS-POLICY',
  ]);
});

/** kube-proxy's rules with all sets in use, chain by chain in its order; ours may stand between. */
const KUBE_PROXY: Readonly<Record<string, readonly string[]>> = {
  "nat KUBE-SERVICES": [
    "-s 127.0.0.0/8 -j RETURN",
    '-m comment --comment "Kubernetes service lb portal" ' +
    "-m set --match-set KUBE-LOAD-BALANCER dst,dst -j KUBE-LOAD-BALANCER",
    '-m comment --comment "Kubernetes service cluster ip + port for masquerade purpose" ' +
    "-m set --match-set KUBE-CLUSTER-IP dst,dst ! -s 10.244.0.0/16 -j KUBE-MARK-MASQ",
    '-m comment --comment "Kubernetes service external ip + port for masquerade and filter purpose" ' +
    "-m set --match-set KUBE-EXTERNAL-IP dst,dst -j KUBE-MARK-MASQ",
    '-m comment --comment "Kubernetes service external ip + port for masquerade and filter purpose" ' +
    "-m set --match-set KUBE-EXTERNAL-IP dst,dst -m physdev ! --physdev-is-in " +
    "-m addrtype ! --src-type LOCAL -j ACCEPT",
    '-m comment --comment "Kubernetes service external ip + port for masquerade and filter purpose" ' +
    "-m set --match-set KUBE-EXTERNAL-IP dst,dst -m addrtype --dst-type LOCAL -j ACCEPT",
    "-m addrtype --dst-type LOCAL -j KUBE-NODE-PORT",
    "-m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT",
    "-m set --match-set KUBE-LOAD-BALANCER dst,dst -j ACCEPT",
  ],
  "nat KUBE-POSTROUTING": [
    '-m comment --comment "Kubernetes endpoints dst ip:port, source ip for solving hairpin ' +
    'purpose" -m set --match-set KUBE-LOOP-BACK dst,dst,src -j MASQUERADE',
    "-m mark ! --mark 0x00004000/0x00004000 -j RETURN",
    "-j MARK --xor-mark 0x00004000",
    '-m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
  ],
  "nat KUBE-NODE-PORT": [
    '-p tcp -m comment --comment "Kubernetes nodeport TCP port for masquerade purpose" ' +
    "-m set --match-set KUBE-NODE-PORT-TCP dst -j KUBE-MARK-MASQ",
  ],
  "nat KUBE-LOAD-BALANCER": ["-j KUBE-MARK-MASQ"],
  "nat KUBE-MARK-MASQ": ["-j MARK --or-mark 0x00004000"],
  "filter KUBE-FORWARD": [
    '-m comment --comment "kubernetes forwarding rules" -m mark --mark 0x00004000/0x00004000 ' +
    "-j ACCEPT",
    '-m comment --comment "kubernetes forwarding conntrack rule" -m conntrack ' +
    "--ctstate RELATED,ESTABLISHED -j ACCEPT",
  ],
  "filter KUBE-NODE-PORT": [
    '-m comment --comment "Kubernetes health check node port" ' +
    "-m set --match-set KUBE-HEALTH-CHECK-NODE-PORT dst -j ACCEPT",
  ],
  "filter KUBE-PROXY-FIREWALL": [
    '-m comment --comment "Kubernetes service load balancer ip + port for load balancer with ' +
    'sourceRange" -m set --match-set KUBE-LOAD-BALANCER-FW dst,dst -j KUBE-SOURCE-RANGES-FIREWALL',
  ],
  "filter KUBE-SOURCE-RANGES-FIREWALL": [
    '-m comment --comment "Kubernetes service load balancer ip + port + source cidr for packet ' +
    'filter purpose" -m set --match-set KUBE-LOAD-BALANCER-SOURCE-CIDR dst,dst,src -j RETURN',
    '-m comment --comment "Kubernetes service load balancer ip + port + source IP for packet ' +
    'filter purpose" -m set --match-set KUBE-LOAD-BALANCER-SOURCE-IP dst,dst,src -j RETURN',
    "-j DROP",
  ],
  "filter KUBE-IPVS-FILTER": [
    "-m set --match-set KUBE-LOAD-BALANCER dst,dst -j RETURN",
    "-m set --match-set KUBE-CLUSTER-IP dst,dst -j RETURN",
    "-m set --match-set KUBE-EXTERNAL-IP dst,dst -j RETURN",
    "-m set --match-set KUBE-EXTERNAL-IP-LOCAL dst,dst -j RETURN",
    "-m set --match-set KUBE-HEALTH-CHECK-NODE-PORT dst -j RETURN",
    "-m conntrack --ctstate NEW -m set --match-set KUBE-IPVS-IPS dst -j REJECT",
  ],
};

Deno.test("kube-proxy's rules are there, in its order", () => {
  const { rules } = rendered(balanced("Cluster", ["10.244.0.1"]));
  for (const [name, expected] of Object.entries(KUBE_PROXY)) {
    const [table, chain] = name.split(" ");
    const found = rules[table as "nat" | "filter"].get(chain)!;
    assert.deepEqual(found.filter((rule) => expected.includes(rule)), expected, name);
  }
});

Deno.test("who is masqueraded to cluster IPs", () => {
  const toClusterIPs = (given: Given) =>
    rendered([service("web", "10.96.0.1", HTTP)], given).rules.nat.get("KUBE-SERVICES")!
      .find((rule) => rule.endsWith("-j KUBE-MARK-MASQ"))!.replace(/^.*CLUSTER-IP /, "");
  assert.equal(toClusterIPs({}), "dst,dst ! -s 10.244.0.0/16 -j KUBE-MARK-MASQ");
  assert.equal(
    toClusterIPs({ options: { masqueradeAll: true } }),
    "dst,dst -j KUBE-MARK-MASQ",
  );
  assert.equal(
    toClusterIPs({ config: { detectLocalMode: "none" } }),
    "src,dst -j KUBE-MARK-MASQ",
    "where pods are not known, the node's own, which come from the address itself",
  );
});

Deno.test("the whole as text and as structure", () => {
  const state = rendered([
    service("web", "10.96.0.1", HTTP),
    slice("web", BACKEND, ["10.244.0.1"]),
  ]);
  const text = ipvsText([state]);
  assert.match(text, /^# kube-ipvs0: ip -batch\nlink add kube-ipvs0 type dummy\n/);
  const parts = ipvsTexts(state);
  assert.equal(parts.addresses, "address add 10.96.0.1/32 dev kube-ipvs0\n");
  assert.match(
    parts.sets,
    /^create KUBE-LOOP-BACK hash:ip,port,ip family inet hashsize 1024 maxelem 65536\nadd KUBE-LOOP/,
  );
  assert.match(parts.sets, /^create KUBE-NODE-PORT-TCP bitmap:port range 0-65535$/m);
  assert.match(parts.rules, /^\*nat\n:KUBE-SERVICES - \[0:0\]\n/);
  for (const part of Object.values(parts)) assert.ok(text.includes(part));
  const { addresses, servers, tables } = ipvsStructure(state);
  assert.deepEqual(addresses, ["10.96.0.1"]);
  assert.deepEqual(servers.map(({ name }) => name), ["10.96.0.1:80/TCP"]);
  assert.deepEqual(tables.map(({ name, jumps }) => [name, jumps.length]), [["nat", 3], [
    "filter",
    6,
  ]]);
});
