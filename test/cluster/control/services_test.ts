/** Defaults, cluster IPs and node ports: what the API server does to Services. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { familyOf, networkContains } from "../../../src/net/address.ts";
import { allocateClusterIPs } from "../../../src/cluster/control/cluster_ips.ts";
import {
  computeState,
  type ControlPlaneOptions,
  NO_ALLOCATIONS,
} from "../../../src/cluster/control/control_plane.ts";
import { allocateNodePorts } from "../../../src/cluster/control/node_ports.ts";
import type { Service } from "../../../src/cluster/objects.ts";
import { formatProblem } from "../../../src/cluster/source.ts";
import { located, network, OPTIONS, service } from "../cluster_helpers.ts";

function compute(services: Service[], options: ControlPlaneOptions = OPTIONS) {
  const state = computeState(located(...services), options, NO_ALLOCATIONS);
  return {
    services: state.objects.filter((one): one is Service => one.kind === "Service"),
    problems: state.problems.map(formatProblem),
  };
}

Deno.test("defaults are the API server's", () => {
  const { services: [plain] } = compute([service("a", { clusterIP: "10.96.0.1" })]);
  assert.deepEqual(plain.spec, {
    type: "ClusterIP",
    clusterIP: "10.96.0.1",
    clusterIPs: ["10.96.0.1"],
    ipFamilies: ["IPv4"],
    ipFamilyPolicy: "SingleStack",
    ports: [{ protocol: "TCP", port: 80, targetPort: 80 }],
    sessionAffinity: "None",
    internalTrafficPolicy: "Cluster",
  });
  const { services: [sticky] } = compute([
    service("a", { type: "LoadBalancer", sessionAffinity: "ClientIP" }),
  ]);
  assert.deepEqual(sticky.spec.sessionAffinityConfig, { clientIP: { timeoutSeconds: 10800 } });
  assert.equal(sticky.spec.externalTrafficPolicy, "Cluster");
  assert.equal(sticky.spec.healthCheckNodePort, undefined);
});

/** Spec fields, and the families and policy that they come to. */
const FAMILIES: readonly [Record<string, unknown>, string[] | undefined, string | undefined][] = [
  [{}, ["IPv4"], "SingleStack"],
  [{ clusterIP: "fd00::1" }, ["IPv6"], "SingleStack"],
  [{ ipFamilies: ["IPv6"] }, ["IPv6"], "SingleStack"],
  [{ ipFamilyPolicy: "PreferDualStack" }, ["IPv4", "IPv6"], "PreferDualStack"],
  [
    { ipFamilyPolicy: "RequireDualStack", ipFamilies: ["IPv6"] },
    ["IPv6", "IPv4"],
    "RequireDualStack",
  ],
  [
    { ipFamilyPolicy: "PreferDualStack", clusterIP: "fd00::1" },
    ["IPv6", "IPv4"],
    "PreferDualStack",
  ],
  [{ clusterIP: "None", selector: { a: "b" } }, ["IPv4"], "SingleStack"],
  [{ clusterIP: "None" }, ["IPv4", "IPv6"], "RequireDualStack"],
  [{ type: "ExternalName", externalName: "a.b" }, undefined, undefined],
];
for (const [spec, families, policy] of FAMILIES) {
  Deno.test(`families of ${JSON.stringify(spec)}`, () => {
    const { services: [one], problems } = compute([service("a", spec)]);
    assert.deepEqual(problems, []);
    assert.deepEqual(one.spec.ipFamilies, families);
    assert.equal(one.spec.ipFamilyPolicy, policy);
    if (families === undefined || spec.clusterIP === "None") return;
    assert.deepEqual(one.spec.clusterIPs?.map(familyOf), families);
    assert.equal(one.spec.clusterIP, one.spec.clusterIPs?.[0]);
  });
}

Deno.test("with networks of one family, a preference for two is met with one", () => {
  const single = { ...OPTIONS, serviceNetworks: [network("fd00:10:96::/112")] };
  const { services, problems } = compute([
    service("a", { ipFamilyPolicy: "PreferDualStack" }),
    service("b", { ipFamilyPolicy: "RequireDualStack" }),
    service("c", { ipFamilies: ["IPv4"] }),
  ], single);
  assert.deepEqual(services.map((one) => one.spec.ipFamilies), [["IPv6"]]);
  assert.deepEqual(problems, [
    "test.yaml:2: Service default/b: spec.ipFamilyPolicy: RequireDualStack needs Service networks " +
    "of both families",
    "test.yaml:3: Service default/c: spec.ipFamilies: IPv4 needs a Service network of that " +
    "family, and there is none",
  ]);
});

/** Spec fields that contradict each other, and the problem. */
const REFUSED: readonly [Record<string, unknown>, string][] = [
  [{ ports: [] }, "spec.ports: expected at least one port"],
  [
    { ports: [{ port: 80, name: "a" }, { port: 81 }] },
    "spec.ports[1].name: missing, expected a name since there are several ports",
  ],
  [
    { ports: [{ port: 80, name: "a" }, { port: 81, name: "a" }] },
    'spec.ports[1].name: "a" is the name of another port',
  ],
  [
    { ports: [{ port: 80, name: "a" }, { port: 80, name: "b" }] },
    "spec.ports[1].port: 80/TCP is the number of another port",
  ],
  [
    { ports: [{ port: 80, nodePort: 30001 }] },
    "spec.ports[0].nodePort: expected none for type ClusterIP, found 30001",
  ],
  [{ type: "ExternalName" }, "spec.externalName: missing, expected a DNS name"],
  [
    { type: "NodePort", clusterIP: "None" },
    'spec.clusterIP: expected an IP address for type NodePort, found "None"',
  ],
  [
    { clusterIP: "10.0.0.1", clusterIPs: ["10.0.0.2"] },
    "spec.clusterIPs[0]: expected 10.0.0.1 as in spec.clusterIP, found 10.0.0.2",
  ],
  [
    { clusterIP: "10.0.0.1", ipFamilies: ["IPv6"] },
    "spec.clusterIP: expected an IPv6 address as in spec.ipFamilies, found 10.0.0.1",
  ],
  [
    { clusterIPs: ["10.0.0.1", "10.0.0.2"], ipFamilyPolicy: "RequireDualStack" },
    "spec.clusterIPs[1]: expected the other family than 10.0.0.1, found 10.0.0.2",
  ],
  [
    { clusterIPs: ["10.0.0.1", "fd00::1"] },
    "spec.ipFamilyPolicy: expected PreferDualStack or RequireDualStack with two clusterIPs",
  ],
  [
    { ipFamilies: ["IPv4", "IPv4"] },
    "spec.ipFamilies[1]: expected the other family than the first",
  ],
];
for (const [spec, problem] of REFUSED) {
  Deno.test(`refused, the others not: ${JSON.stringify(spec)}`, () => {
    const { services, problems } = compute([service("bad", spec), service("good")]);
    assert.deepEqual(problems, [`test.yaml:1: Service default/bad: ${problem}`]);
    assert.deepEqual(services.map((one) => one.metadata.name), ["good"]);
  });
}

Deno.test("of two Services with one cluster IP the later is left out, of two names too", () => {
  const { services, problems } = compute([
    service("a", { clusterIP: "10.0.0.1" }),
    service("b", { clusterIP: "010.0.0.01" }),
    service("a"),
    service("c"),
  ]);
  assert.deepEqual(problems, [
    "test.yaml:3: Service default/a: metadata.name: already defined at test.yaml:1",
    "test.yaml:2: Service default/b: spec.clusterIP: 10.0.0.1 is the address of Service default/a",
  ]);
  assert.deepEqual(services.map((one) => one.metadata.name), ["a", "c"]);
});

Deno.test("a node port of another Service, or out of range, is left out; other protocols are others", () => {
  const ports = (nodePort: number, protocol = "TCP") => ({
    type: "NodePort",
    ports: [{ port: 80, nodePort, protocol }],
  });
  const { services, problems } = compute([
    service("a", ports(30007)),
    service("b", ports(30007)),
    service("c", ports(30007, "UDP")),
    service("d", ports(80)),
    service("e", {
      type: "LoadBalancer",
      externalTrafficPolicy: "Local",
      healthCheckNodePort: 30007,
    }),
  ]);
  assert.deepEqual(problems, [
    "test.yaml:2: Service default/b: spec.ports[0].nodePort: 30007/TCP is a node port of Service " +
    "default/a",
    "test.yaml:4: Service default/d: spec.ports[0].nodePort: expected 30000 to 32767, found 80",
    "test.yaml:5: Service default/e: spec.healthCheckNodePort: 30007/TCP is a node port of " +
    "Service default/a",
  ]);
  assert.deepEqual(
    services.slice(0, 4).map((one) => one.spec.ports[0].nodePort),
    [30007, undefined, 30007, undefined],
  );
});

Deno.test("load balancers have node ports unless they decline, and a health port if Local", () => {
  const local = { type: "LoadBalancer", externalTrafficPolicy: "Local" };
  const { services: [a, b] } = compute([
    service("a", local),
    service("b", { ...local, allocateLoadBalancerNodePorts: false }),
  ]);
  assert(a.spec.ports[0].nodePort !== undefined);
  assert.equal(b.spec.ports[0].nodePort, undefined);
  assert(b.spec.healthCheckNodePort !== undefined);
  const used = [a.spec.ports[0].nodePort, a.spec.healthCheckNodePort, b.spec.healthCheckNodePort];
  assert.equal(new Set(used).size, 3);
});

Deno.test("a network that is full is a problem of those that come too late", () => {
  const tiny = { ...OPTIONS, serviceNetworks: [network("10.0.0.0/29")] };
  const { services, problems } = compute("abcdefg".split("").map((name) => service(name)), tiny);
  assert.equal(services.length, 5);
  assert.equal(problems.length, 2);
  assert(problems[0].endsWith("spec.clusterIP: no address of the networks is free"));
});

const NAMES = Array.from({ length: 30 }, (_, i) => `s${i}`);

Deno.test("cluster IPs never collide, are of the networks, and stay through any edit", () => {
  const networks = [network("10.0.0.0/26"), network("fd00::/122")];
  const spec = fc.constantFrom<Record<string, unknown>>(
    { ipFamilies: ["IPv4"] },
    { ipFamilies: ["IPv6"] },
    { ipFamilies: ["IPv4", "IPv6"], ipFamilyPolicy: "RequireDualStack" },
    { clusterIP: "10.0.0.9", ipFamilies: ["IPv4"] },
    { clusterIP: "192.168.0.1", ipFamilies: ["IPv4"] },
    { clusterIP: "None" },
  );
  const services = fc.uniqueArray(fc.record({ name: fc.constantFrom(...NAMES), spec }), {
    selector: (one) => one.name,
  }).map((all) => all.map((one) => service(one.name, one.spec)));
  fc.assert(
    fc.property(services, services, (first, second) => {
      const one = allocateClusterIPs(located(...first), networks, new Map());
      const two = allocateClusterIPs(located(...second), networks, one.given);
      for (const { services } of [one, two]) {
        const all = services.flatMap(({ object }) => object.spec.clusterIPs ?? [])
          .filter((address) => address !== "None");
        assert.equal(new Set(all).size, all.length);
      }
      const explicit = new Set(two.services.flatMap(({ object }) => object.spec.clusterIP ?? []));
      for (const [key, address] of two.given) {
        assert(networks.some((network) => networkContains(network, address)));
        const before = one.given.get(key);
        // Only an explicit claim takes an address away.
        if (before !== undefined && before !== address) assert(explicit.has(before));
      }
    }),
    { numRuns: 300 },
  );
});

Deno.test("node ports never collide, are of the range, and stay through any edit", () => {
  const one = fc.record({
    name: fc.constantFrom(...NAMES),
    type: fc.constantFrom("NodePort", "LoadBalancer", "ClusterIP"),
    protocol: fc.constantFrom("TCP", "UDP"),
    nodePort: fc.option(fc.integer({ min: 29990, max: 30020 }), { nil: undefined, freq: 3 }),
  });
  const services = fc.uniqueArray(one, { selector: (each) => each.name }).map((all) =>
    all.map(({ name, type, protocol, nodePort }) =>
      service(name, {
        type,
        externalTrafficPolicy: "Local",
        ports: [{ port: 80, protocol, nodePort: type === "ClusterIP" ? undefined : nodePort }],
      })
    )
  );
  fc.assert(
    fc.property(services, services, (first, second) => {
      const before = allocateNodePorts(located(...first), new Map());
      const after = allocateNodePorts(located(...second), before.given);
      for (const { services } of [before, after]) {
        const all = services.flatMap(({ object: { spec } }) => [
          ...spec.ports.flatMap((port) => port.nodePort ? `${port.nodePort}/${port.protocol}` : []),
          ...(spec.healthCheckNodePort ? [`${spec.healthCheckNodePort}/TCP`] : []),
        ]);
        assert.equal(new Set(all).size, all.length);
        assert(all.every((port) => parseInt(port) >= 30000 && parseInt(port) <= 32767));
      }
      const explicit = new Set(second.flatMap(({ spec }) => spec.ports[0].nodePort ?? []));
      for (const [key, port] of after.given) {
        const kept = before.given.get(key);
        if (kept !== undefined && kept !== port) assert(explicit.has(kept));
      }
    }),
    { numRuns: 300 },
  );
});
