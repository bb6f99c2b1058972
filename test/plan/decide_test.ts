import assert from "node:assert/strict";
import { classifySource, decide, sourcesAlike } from "../../src/plan/decide.ts";
import type { PlannerConfig } from "../../src/plan/node.ts";
import { Planner } from "../../src/plan/planner.ts";
import { apply, endpoint, ingress, service, slice } from "../services/objects.ts";
import { config } from "./config.ts";

const LOCAL = "Local" as const;
const NODE_PORT = 30080;

function planned(changes: Partial<PlannerConfig>, ...objects: Parameters<typeof apply>) {
  const planner = new Planner(config(changes));
  planner.update(apply(...objects));
  return planner.plan;
}

Deno.test("a decision says which Service, frontend, backends and why", () => {
  const plan = planned(
    {},
    service("web", { ports: [{ name: "http", port: 80, protocol: "TCP" }] }),
    slice("web", ["10.244.0.11", "10.244.0.12"], { ports: [{ name: "http", port: 8080 }] }),
  );
  const query = { source: "10.244.0.12", dest: "10.096.0.010", port: 80, protocol: "TCP" as const };
  assert.deepEqual(decide(plan, query), {
    verdict: "FORWARD",
    service: "default/web:http",
    frontend: "ClusterIP",
    sourceClass: "pod",
    backends: [
      { address: "10.244.0.11", port: 8080, probability: 0.5, masquerade: false },
      { address: "10.244.0.12", port: 8080, probability: 0.5, masquerade: true },
    ],
    masquerade: false,
    reason:
      "ClusterIP 10.96.0.10:80/TCP: policy Cluster, 2 of 2 endpoints for sources of class pod",
  });
  assert.deepEqual(decide(plan, { ...query, port: 443 }), {
    verdict: "PASS",
    service: null,
    frontend: null,
    sourceClass: "pod",
    backends: [],
    masquerade: false,
    reason: "no Service has a frontend at 10.96.0.10:443/TCP",
  });
  assert.throws(() => decide(plan, { ...query, source: "localhost" }), /not an IP address/);
  assert.throws(() => decide(plan, { ...query, dest: "10.96.0.10/32" }), /not an IP address/);
});

Deno.test("weights make probabilities, and weight 0 takes nothing", () => {
  const plan = planned(
    {},
    service("web"),
    slice("web", ["10.244.0.1", "10.244.0.2", "10.244.0.3"]),
  );
  const web = plan.services.get("default/web")!;
  const weights = [3, 0, 1];
  const cluster = web.ports[0].cluster.map((each, index) => ({ ...each, weight: weights[index] }));
  const weighted = {
    ...plan,
    services: new Map([["default/web", { ...web, ports: [{ ...web.ports[0], cluster }] }]]),
  };
  const { backends } = decide(weighted, {
    source: "10.244.0.9",
    dest: "10.96.0.10",
    port: 80,
    protocol: "TCP",
  });
  assert.deepEqual(backends.map(({ address, probability }) => [address, probability]), [
    ["10.244.0.1", 0.75],
    ["10.244.0.3", 0.25],
  ]);
});

Deno.test("sources are pods before they are the node", () => {
  const { node } = planned({ clusterCIDRs: ["192.168.50.0/28", "fd00:10:244::/48"] });
  const classes = {
    "192.168.50.10": "pod",
    "192.168.50.100": "outside",
    "fd00:50::10": "node",
    "fd00:10:244:5::1": "pod",
    "127.0.0.1": "node",
    "127.9.9.9": "node",
    "::1": "node",
    "fd00:50::11": "outside",
  };
  for (const [source, expected] of Object.entries(classes)) {
    assert.equal(classifySource(node, source), expected, source);
  }
});

Deno.test("who is masqueraded on the way where", async (t) => {
  const external = { type: "LoadBalancer" as const, externalIPs: ["203.0.113.10"] };
  const services = {
    cluster: external,
    externalLocal: { ...external, externalTrafficPolicy: LOCAL },
    bothLocal: { ...external, externalTrafficPolicy: LOCAL, internalTrafficPolicy: LOCAL },
  };
  const sources = { pod: "10.244.0.5", node: "192.168.50.10", outside: "192.168.50.100" };
  // For cluster IP, external IP, load balancer and node port: l(ocal endpoint) or b(oth endpoints),
  // + when masqueraded.
  const table: [string, Partial<PlannerConfig>, Record<string, string>][] = [
    ["with detection", {}, {
      "cluster pod": "b b+ b+ b+",
      "cluster node": "b+ b+ b+ b+",
      "cluster outside": "b+ b+ b+ b+",
      "externalLocal pod": "b b b b",
      "externalLocal node": "b+ b+ b+ b+",
      "externalLocal outside": "b+ l l l",
      "bothLocal pod": "l b b b",
      "bothLocal node": "l+ b+ b+ b+",
      "bothLocal outside": "l+ l l l",
    }],
    ["without detection", { detectLocalMode: "none" }, {
      "cluster pod": "b b+ b+ b+",
      "cluster node": "b b+ b+ b+",
      "cluster outside": "b b+ b+ b+",
      "externalLocal pod": "b l l l",
      "externalLocal node": "b b+ b+ b+",
      "externalLocal outside": "b l l l",
      "bothLocal pod": "l l l l",
      "bothLocal node": "l b+ b+ b+",
      "bothLocal outside": "l l l l",
    }],
    ["with detection, masquerade all", { masqueradeAll: true }, {
      "cluster pod": "b+ b+ b+ b+",
      "cluster node": "b+ b+ b+ b+",
      "cluster outside": "b+ b+ b+ b+",
      "externalLocal pod": "b+ b b b",
      "externalLocal node": "b+ b+ b+ b+",
      "externalLocal outside": "b+ l l l",
      "bothLocal pod": "l+ b b b",
      "bothLocal node": "l+ b+ b+ b+",
      "bothLocal outside": "l+ l l l",
    }],
    ["without detection, masquerade all", { detectLocalMode: "none", masqueradeAll: true }, {
      "cluster pod": "b+ b+ b+ b+",
      "cluster node": "b+ b+ b+ b+",
      "cluster outside": "b+ b+ b+ b+",
      "externalLocal pod": "b+ l l l",
      "externalLocal node": "b+ b+ b+ b+",
      "externalLocal outside": "b+ l l l",
      "bothLocal pod": "l+ l l l",
      "bothLocal node": "l+ b+ b+ b+",
      "bothLocal outside": "l+ l l l",
    }],
  ];
  const endpoints = slice("web", [
    endpoint("10.244.0.11", "ready", { node: "lab-node" }),
    endpoint("10.244.1.12", "ready", { node: "other-node" }),
  ]);
  const dialled: [string, number][] = [
    ["10.96.0.10", 80],
    ["203.0.113.10", 80],
    ["203.0.113.5", 80],
    ["192.168.50.10", NODE_PORT],
  ];
  for (const [name, changes, rows] of table) {
    await t.step(name, () => {
      for (const [row, expected] of Object.entries(rows)) {
        const [kind, from] = row.split(" ") as [keyof typeof services, keyof typeof sources];
        const web = service("web", {
          ...services[kind],
          ports: [{ port: 80, protocol: "TCP", nodePort: NODE_PORT }],
        }, { status: ingress("203.0.113.5") });
        const plan = planned(changes, web, endpoints);
        const actual = dialled.map(([dest, port]) => {
          const query = { source: sources[from], dest, port, protocol: "TCP" as const };
          const { verdict, backends, masquerade } = decide(plan, query);
          assert.equal(verdict, "FORWARD");
          return `${backends.length === 1 ? "l" : "b"}${masquerade ? "+" : ""}`;
        });
        assert.equal(actual.join(" "), expected, row);
      }
    });
  }
});

Deno.test("sources that are alike are decided about alike", () => {
  const ports = [{ name: "http", port: 80, protocol: "TCP" as const, nodePort: NODE_PORT }];
  const plan = planned(
    {},
    service("web", {
      type: "LoadBalancer",
      ports,
      loadBalancerSourceRanges: ["203.0.113.0/24", "10.244.9.0/24"],
      externalTrafficPolicy: LOCAL,
    }, { status: ingress("198.51.100.8") }),
    slice("web", ["10.244.0.11", "10.245.0.12"], { ports: [{ name: "http", port: 8080 }] }),
  );
  const [own] = plan.node.addresses;
  const sources = [
    ...["10.244.0.5", "10.244.0.6", "10.244.9.1", "10.244.9.2", "10.244.0.11", "10.245.0.12"],
    ...["203.0.113.1", "203.0.113.2", "192.0.2.1", "192.0.2.2", "127.0.0.1", own],
  ];
  const service80 = [...plan.services.values()][0].ports[0].frontends;
  let pairs = 0;
  for (const { address, port } of [...service80, { address: "192.0.2.9", port: 9 }]) {
    for (const source of sources) {
      const query = { source, dest: address ?? own, port, protocol: "TCP" as const };
      const alike = sourcesAlike(plan, query);
      const said = (source: string) =>
        JSON.stringify(decide(plan, { ...query, source })).replace(`${source} is`, "it is");
      for (const other of sources) {
        if (!alike.sameFor(other)) continue;
        assert.equal(said(other), said(source), `${other}, ${source} to ${query.dest}`);
        if (other !== source) pairs++;
      }
    }
  }
  assert.ok(pairs > 20, `${pairs} pairs`);
});
