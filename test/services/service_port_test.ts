import assert from "node:assert/strict";
import { FAMILIES } from "../../src/net/address.ts";
import {
  describeService,
  externallyAccessible,
  usesClusterEndpoints,
  usesLocalEndpoints,
} from "../../src/services/service_port.ts";
import { ingress, service } from "./objects.ts";

Deno.test("a Service without a cluster IP has no ports, and neither has an ExternalName", () => {
  const specs = [
    { clusterIP: "None" },
    { clusterIP: "", externalIPs: ["203.0.113.1"] },
    { clusterIP: undefined },
    { type: "ExternalName" as const, externalName: "example.org" },
    { clusterIP: "300.0.0.1" },
  ];
  for (const spec of specs) {
    assert.deepEqual(describeService(service("web", spec), FAMILIES).ports, [], String(spec));
  }
  const headless = describeService(service("web", { clusterIP: "None" }), FAMILIES);
  assert.equal(headless.headless, true);
  const external = describeService(
    service("web", { type: "ExternalName", externalName: "example.org" }),
    FAMILIES,
  );
  assert.equal(external.externalName, "example.org");
  assert.equal(external.headless, false);
});

Deno.test("every port has each family's own addresses, IPv4 first", () => {
  const dual = service("web", {
    type: "LoadBalancer",
    clusterIP: "fd00:96::1",
    clusterIPs: ["fd00:96::1", "10.096.000.001", "10.96.0.2"],
    ports: [
      { name: "a", port: 80, protocol: "TCP", nodePort: 30080 },
      { name: "b", port: 53, protocol: "UDP" },
    ],
    externalIPs: ["203.0.113.010", "fd00:203:0::10", "no address", "203.0.113.11"],
    loadBalancerSourceRanges: [" 203.0.113.000/025 ", "fd00:50::1/64", "rubbish"],
  }, {
    status: ingress(
      "203.0.113.5",
      { ip: "fd00:203::5", ipMode: "VIP" },
      { ip: "203.0.113.6", ipMode: "Proxy" },
      { ip: "203.0.113.7", ipMode: "vip" },
      { ip: "" },
      { hostname: "lb.example.org" },
    ),
  });
  const { ports } = describeService(dual, FAMILIES);
  assert.deepEqual(
    ports.map(({ portName, family, clusterIP }) => [portName, family, clusterIP]),
    [
      ["a", "IPv4", "10.96.0.1"],
      ["a", "IPv6", "fd00:96::1"],
      ["b", "IPv4", "10.96.0.1"],
      ["b", "IPv6", "fd00:96::1"],
    ],
  );
  assert.deepEqual(ports[0], {
    namespace: "default",
    service: "web",
    portName: "a",
    protocol: "TCP",
    family: "IPv4",
    clusterIP: "10.96.0.1",
    port: 80,
    nodePort: 30080,
    externalIPs: ["203.0.113.10", "203.0.113.11"],
    loadBalancerVIPs: ["203.0.113.5"],
    sourceRanges: ["203.0.113.0/25"],
    affinitySeconds: null,
    internalPolicyLocal: false,
    externalPolicyLocal: false,
  });
  assert.deepEqual(ports[1].externalIPs, ["fd00:203::10"]);
  assert.deepEqual(ports[1].loadBalancerVIPs, ["fd00:203::5"]);
  assert.deepEqual(ports[1].sourceRanges, ["fd00:50::/64"]);
  const onlyIPv6 = describeService(dual, ["IPv6"]).ports;
  assert.deepEqual(onlyIPv6.map((port) => port.family), ["IPv6", "IPv6"]);
});

Deno.test("clusterIPs decides over clusterIP, also when it lacks a family", () => {
  const { ports } = describeService(
    service("web", { clusterIP: "10.96.0.1", clusterIPs: ["fd00:96::1"] }),
    FAMILIES,
  );
  assert.deepEqual(ports.map((port) => port.clusterIP), ["fd00:96::1"]);
});

Deno.test("session affinity has a timeout, three hours by default", () => {
  const seconds = (spec: Parameters<typeof service>[1]) =>
    describeService(service("web", spec), FAMILIES).ports[0].affinitySeconds;
  const config = { clientIP: { timeoutSeconds: 7 } };
  assert.equal(seconds({}), null);
  assert.equal(seconds({ sessionAffinity: "None", sessionAffinityConfig: config }), null);
  assert.equal(seconds({ sessionAffinity: "ClientIP" }), 10800);
  assert.equal(seconds({ sessionAffinity: "ClientIP", sessionAffinityConfig: config }), 7);
});

Deno.test("policies and what they use", async (t) => {
  const local = "Local" as const;
  const nodePort = { ports: [{ port: 80, protocol: "TCP" as const, nodePort: 30080 }] };
  const cases = [
    { name: "cluster IP only", spec: {}, expect: [false, false, false, true, false] },
    {
      name: "internal policy Local",
      spec: { internalTrafficPolicy: local },
      expect: [true, false, false, false, true],
    },
    {
      name: "external policy Local without anything external",
      spec: { externalTrafficPolicy: local },
      expect: [false, false, false, true, false],
    },
    {
      name: "external policy Local of a load balancer that has no address yet",
      spec: { type: "LoadBalancer" as const, externalTrafficPolicy: local },
      expect: [false, true, false, true, false],
    },
    {
      name: "external policy Local with a node port",
      spec: { type: "NodePort" as const, ...nodePort, externalTrafficPolicy: local },
      expect: [false, true, true, true, true],
    },
    {
      name: "external policy Local with an external IP",
      spec: { externalIPs: ["203.0.113.1"], externalTrafficPolicy: local },
      expect: [false, true, true, true, true],
    },
    {
      name: "external policy Local with an external IP of the other family",
      spec: { externalIPs: ["fd00:203::1"], externalTrafficPolicy: local },
      expect: [false, true, false, true, false],
    },
    {
      name: "both Local with a node port",
      spec: {
        type: "NodePort" as const,
        ...nodePort,
        internalTrafficPolicy: local,
        externalTrafficPolicy: local,
      },
      expect: [true, true, true, true, true],
    },
    {
      name: "internal Local, external Cluster",
      spec: { type: "NodePort" as const, ...nodePort, internalTrafficPolicy: local },
      expect: [true, false, true, true, true],
    },
  ];
  for (const { name, spec, expect } of cases) {
    await t.step(name, () => {
      const port = describeService(service("web", spec), ["IPv4"]).ports[0];
      assert.deepEqual([
        port.internalPolicyLocal,
        port.externalPolicyLocal,
        externallyAccessible(port),
        usesClusterEndpoints(port),
        usesLocalEndpoints(port),
      ], expect);
    });
  }
});

Deno.test("a health check node port needs a load balancer with policy Local", () => {
  const healthPort = (spec: Parameters<typeof service>[1]) =>
    describeService(service("web", { healthCheckNodePort: 32000, ...spec }), FAMILIES)
      .healthCheckNodePort;
  assert.equal(healthPort({ type: "LoadBalancer", externalTrafficPolicy: "Local" }), 32000);
  assert.equal(healthPort({ type: "LoadBalancer", externalTrafficPolicy: "Cluster" }), 0);
  assert.equal(healthPort({ type: "NodePort", externalTrafficPolicy: "Local" }), 0);
});

Deno.test("what a proxy does not read makes no difference", () => {
  const plain = service("web");
  const decorated = service("web", {
    selector: { app: "web" },
    publishNotReadyAddresses: true,
    trafficDistribution: "PreferClose",
    ports: [{ port: 80, protocol: "TCP", targetPort: "http", appProtocol: "http" }],
  }, { labels: { app: "web" } });
  assert.deepEqual(describeService(decorated, FAMILIES), describeService(plain, FAMILIES));
});
