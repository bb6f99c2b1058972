import assert from "node:assert/strict";
import process from "node:process";
import type { Service } from "../../src/cluster/objects.ts";
import { decide } from "../../src/plan/decide.ts";
import { Planner } from "../../src/plan/planner.ts";
import { apply, endpoint, ingress, node, remove, service, slice } from "../services/objects.ts";
import { config } from "./config.ts";

const ZONE = "topology.kubernetes.io/zone";

Deno.test("the first change has the node, even of an empty cluster", () => {
  const planner = new Planner(config());
  const change = planner.update([]);
  assert.deepEqual(change, { node: planner.plan.node, updated: [], removed: [], udp: [] });
  assert.equal(planner.update([]).node, null);
});

Deno.test("a change names the Services that are different, and no others", () => {
  const planner = new Planner(config());
  const first = planner.update(
    apply(service("web"), service("dns", { clusterIP: "10.96.0.53" }), slice("web", ["10.0.0.1"])),
  );
  assert.deepEqual(first.updated.map(({ name }) => name), ["dns", "web"]);
  const moved = planner.update(apply(slice("web", ["10.0.0.2"])));
  assert.deepEqual(moved.updated.map(({ name }) => name), ["web"]);
  assert.deepEqual(moved.updated[0].ports[0].cluster.map(({ address }) => address), ["10.0.0.2"]);
  assert.deepEqual(planner.update(apply(service("web"))).updated, []);
  const gone = planner.update(remove(service("web")));
  assert.deepEqual([gone.updated, gone.removed], [[], ["default/web"]]);
  assert.deepEqual(planner.update(remove(service("web"))).removed, []);
});

Deno.test("endpoints may come before their Service", () => {
  const planner = new Planner(config());
  assert.deepEqual(planner.update(apply(slice("web", ["10.0.0.1"]))).updated, []);
  assert.equal(planner.update(apply(service("web"))).updated[0].ports[0].cluster.length, 1);
});

Deno.test("a changed node changes the Services that depend on it", () => {
  const planner = new Planner(config({ nodeAddresses: [], detectLocalMode: "NodeCIDR" }));
  const hinted = [
    endpoint("10.0.0.1", "ready", { zones: ["a"] }),
    endpoint("10.0.0.2", "ready", { zones: ["b"] }),
  ];
  const ranged = service("ranged", {
    type: "LoadBalancer",
    clusterIP: "10.96.0.12",
    loadBalancerSourceRanges: ["192.168.50.0/24"],
  }, { status: ingress("203.0.113.5") });
  planner.update(apply(
    service("plain", { clusterIP: "10.96.0.11" }),
    service("hinted"),
    slice("hinted", hinted),
    ranged,
    node("lab-node", { [ZONE]: "a" }, ["192.168.60.10"]),
  ));
  const names = (...changes: Parameters<Planner["update"]>) => {
    const change = planner.update(...changes);
    return [change.node !== null, ...change.updated.map(({ name }) => name)];
  };
  const addresses = () =>
    planner.plan.services.get("default/hinted")!.ports[0].cluster.map(({ address }) => address);

  assert.deepEqual(addresses(), ["10.0.0.1"]);
  assert.deepEqual(names(apply(node("other", { [ZONE]: "b" }))), [false]);
  assert.deepEqual(names(apply(node("lab-node", { [ZONE]: "a", x: "y" }, ["192.168.60.10"]))), [
    false,
  ]);
  assert.deepEqual(names(apply(node("lab-node", { [ZONE]: "b" }, ["192.168.60.10"]))), [
    false,
    "hinted",
  ]);
  assert.deepEqual(addresses(), ["10.0.0.2"]);
  assert.deepEqual(names(apply(node("lab-node", { [ZONE]: "b" }, ["192.168.50.10"]))), [
    true,
    "ranged",
  ]);
  assert.deepEqual(
    names(apply(node("lab-node", { [ZONE]: "b" }, ["192.168.50.10"], ["10.244.0.0/24"]))),
    [true, "hinted"],
    "only where there are endpoints does it matter who is masqueraded",
  );
  assert.deepEqual(names(remove(node("lab-node"))), [true, "hinted", "ranged"]);
  assert.deepEqual(addresses(), ["10.0.0.1", "10.0.0.2"]);
});

Deno.test("frontends that are not given are problems, until their owner goes", () => {
  const planner = new Planner(config());
  const claim = (name: string, spec: Partial<Service["spec"]> = {}) =>
    service(name, {
      type: "NodePort",
      externalIPs: ["203.0.113.10"],
      ports: [{ port: 80, protocol: "TCP", nodePort: 30080 }],
      ...spec,
    });
  const frontends = (name: string) =>
    planner.plan.services.get(`default/${name}`)!.ports[0].frontends.map(({ kind }) => kind);
  const first = claim("a");
  planner.update(apply(claim("b"), first));
  assert.deepEqual(frontends("a"), ["ClusterIP", "ExternalIP", "NodePort"]);
  assert.deepEqual(frontends("b"), []);
  assert.deepEqual(planner.problems.map(({ object, field, message }) => [object, field, message]), [
    [
      "Service default/b",
      "spec.clusterIP",
      "10.96.0.10:80/TCP belongs to Service default/a; expected an address and port of its own",
    ],
    [
      "Service default/b",
      "spec.externalIPs",
      "203.0.113.10:80/TCP belongs to Service default/a; expected an address and port of its own",
    ],
    [
      "Service default/b",
      "spec.ports[].nodePort",
      "IPv4 node port 30080/TCP belongs to Service default/a; expected a port of its own",
    ],
  ]);
  const change = planner.update(remove(first));
  assert.deepEqual(change.updated.map(({ name }) => name), ["b"]);
  assert.deepEqual(frontends("b"), ["ClusterIP", "ExternalIP", "NodePort"]);
  assert.deepEqual(planner.problems, []);
});

Deno.test("an address that a Service names twice is one frontend, of the first kind", () => {
  const planner = new Planner(config());
  planner.update(apply(
    service("web", { type: "LoadBalancer", externalIPs: ["203.0.113.5", "203.0.113.005"] }, {
      status: ingress("203.0.113.5"),
    }),
  ));
  const { frontends } = planner.plan.services.get("default/web")!.ports[0];
  assert.deepEqual(frontends.map(({ kind }) => kind), ["ClusterIP", "ExternalIP"]);
  assert.deepEqual(planner.problems, []);
});

Deno.test("the count of local ready endpoints", () => {
  const planner = new Planner(config());
  const web = service("web", {
    type: "LoadBalancer",
    externalTrafficPolicy: "Local",
    healthCheckNodePort: 32000,
  });
  const local = { node: "lab-node" };
  const count = (...endpoints: Parameters<typeof slice>[1]) => {
    planner.update(apply(web, slice("web", endpoints)));
    const plan = planner.plan.services.get("default/web")!;
    assert.equal(plan.healthCheckNodePort, 32000);
    return plan.localReadyEndpoints;
  };
  assert.equal(count(endpoint("10.0.0.1", "ready", local), endpoint("10.0.0.2")), 1);
  assert.equal(count(endpoint("10.0.0.1", "draining", local)), 0);
});

Deno.test("ServiceCIDRs are known as Service networks", () => {
  const planner = new Planner(config());
  const cidr = (name: string, ...cidrs: readonly string[]) => ({
    kind: "ServiceCIDR" as const,
    metadata: { name },
    spec: { cidrs },
  });
  planner.update(
    apply(cidr("kubernetes", "10.96.0.0/16", "fd00::/112"), cidr("more", "10.97.0.0/16")),
  );
  assert.deepEqual(planner.plan.serviceNetworks, ["10.96.0.0/16", "10.97.0.0/16", "fd00::/112"]);
  const query = { source: "192.0.2.1", dest: "10.97.0.1", port: 80, protocol: "TCP" as const };
  assert.equal(
    decide(planner.plan, query).reason,
    "no Service has a frontend at 10.97.0.1:80/TCP, in the Service network 10.97.0.0/16",
  );
  planner.update(remove(cidr("more")));
  assert.deepEqual(planner.plan.serviceNetworks, ["10.96.0.0/16", "fd00::/112"]);
});

Deno.test("the plan is plain data", () => {
  const planner = new Planner(config());
  const change = planner.update(apply(service("web"), slice("web", ["10.0.0.1"])));
  assert.deepEqual(JSON.parse(JSON.stringify(change)), change);
  assert.deepEqual(structuredClone(planner.plan), planner.plan);
});

/** What this process has computed, however long the machine had others to serve. */
function processorMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

Deno.test("10,000 Services with 10 endpoints each: one at once, not all again", () => {
  const planner = new Planner(config());
  const ip = (prefix: string, n: number) => `${prefix}.${n >> 8 & 255}.${n & 255}`;
  const objects = Array.from({ length: 10_000 }, (_, n) => {
    const hosts = Array.from({ length: 10 }, (_, i) => ip(`10.${i}`, n));
    return [service(`s${n}`, { clusterIP: ip("172.16", n) }), slice(`s${n}`, hosts)];
  }).flat();
  const started = processorMs();
  const initial = planner.update(apply(...objects));
  const all = processorMs() - started;
  assert.equal(initial.updated.length, 10_000);

  const rounds = 200;
  const again = processorMs();
  for (let n = 0; n < rounds; n++) {
    const { updated } = planner.update(apply(slice(`s${n}`, [ip("10.99", n)])));
    assert.equal(updated.length, 1);
  }
  const one = (processorMs() - again) / rounds;
  // A plan made anew each time would take as long as the initial one.
  assert.ok(one < all / 50, `one change took ${one} ms, all of them ${all} ms`);
});
