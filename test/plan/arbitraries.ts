/**
 * Random clusters from small pools, so that names, addresses and ports meet often.
 *
 * @module
 */

import fc from "fast-check";
import type { ClusterObject } from "../../src/cluster/objects.ts";
import type { ClusterChange } from "../../src/cluster/source.ts";
import type { PlannerConfig } from "../../src/plan/node.ts";

const NAMESPACES = ["a", "a-b"];
const NAMES = ["web", "dns"];
const NODES = ["lab-node", "other"];
const ZONES = ["z1", "z2", ""];

const names = fc.record({
  namespace: fc.constantFrom(...NAMESPACES),
  name: fc.constantFrom(...NAMES),
});

const labels: fc.Arbitrary<Record<string, string>> = fc.oneof(
  { weight: 8, arbitrary: fc.constant({}) },
  {
    weight: 1,
    arbitrary: fc.constantFrom("service-proxy-name", "headless")
      .map((label) => ({ [`service.kubernetes.io/${label}`]: "" })),
  },
);

const addresses4 = ["10.96.0.1", "10.96.0.002", "192.168.50.10", "203.0.113.7"];
const addresses6 = ["fd00:96::1", "fd00:96:0::2", "fd00:50::10"];
const anyAddress = fc.constantFrom(...addresses4, ...addresses6);
const clusterIPs = fc.oneof(
  fc.constantFrom(...addresses4, ...addresses6).map((ip) => ({ clusterIP: ip })),
  fc.tuple(fc.constantFrom(...addresses4), fc.constantFrom(...addresses6), fc.boolean())
    .map(([v4, v6, first]) =>
      first ? { clusterIP: v4, clusterIPs: [v4, v6] } : { clusterIP: v6, clusterIPs: [v6, v4] }
    ),
  fc.constantFrom({ clusterIP: "None" }, { clusterIP: "" }),
);

const portKeys = [
  { name: "", protocol: "TCP" },
  { name: "p", protocol: "TCP" },
  { name: "p", protocol: "UDP" },
] as const;

const servicePorts = fc.subarray([...portKeys], { minLength: 1 }).chain((keys) =>
  fc.tuple(...keys.map((key) =>
    fc.record({
      port: fc.constantFrom(80, 53),
      nodePort: fc.constantFrom(undefined, 30001, 30002),
    }).map(({ port, nodePort }) => ({
      ...key,
      port,
      ...(nodePort === undefined ? {} : { nodePort }),
    }))
  ))
).map((ports) => {
  // One number with one protocol twice in one Service is what the API refuses.
  const seen = new Set<string>();
  return ports.filter((port) => {
    const ids = [`${port.port}/${port.protocol}`, `n${port.nodePort}/${port.protocol}`]
      .filter((id) => !id.startsWith("nundefined"));
    if (ids.some((id) => seen.has(id))) return false;
    ids.forEach((id) => seen.add(id));
    return true;
  });
});

const service: fc.Arbitrary<ClusterObject> = fc.record({
  names,
  labels,
  type: fc.constantFrom("ClusterIP", "NodePort", "LoadBalancer", "ExternalName" as const),
  ips: clusterIPs,
  ports: servicePorts,
  externalIPs: fc.option(fc.array(anyAddress, { maxLength: 2 }), { nil: undefined }),
  ranges: fc.option(
    fc.array(
      fc.constantFrom(" 203.0.113.000/025", "192.168.50.0/24", "fd00:50::/64", "0.0.0.0/0", "bad"),
      { maxLength: 3 },
    ),
    { nil: undefined },
  ),
  affinity: fc.constantFrom({}, { sessionAffinity: "ClientIP" as const }, {
    sessionAffinity: "ClientIP" as const,
    sessionAffinityConfig: { clientIP: { timeoutSeconds: 60 } },
  }),
  internal: fc.constantFrom(undefined, "Cluster" as const, "Local" as const),
  external: fc.constantFrom(undefined, "Cluster" as const, "Local" as const),
  ingress: fc.array(
    fc.record({
      ip: anyAddress,
      ipMode: fc.constantFrom(undefined, "VIP", "Proxy"),
    }).map(({ ip, ipMode }) => ipMode === undefined ? { ip } : { ip, ipMode }),
    { maxLength: 2 },
  ),
}).map((parts) => ({
  kind: "Service",
  metadata: { ...parts.names, labels: parts.labels },
  spec: {
    type: parts.type,
    ...parts.ips,
    ports: parts.ports,
    ...(parts.type === "ExternalName" ? { externalName: "example.org" } : {}),
    ...(parts.externalIPs === undefined ? {} : { externalIPs: parts.externalIPs }),
    ...(parts.ranges === undefined ? {} : { loadBalancerSourceRanges: parts.ranges }),
    ...parts.affinity,
    ...(parts.internal === undefined ? {} : { internalTrafficPolicy: parts.internal }),
    ...(parts.external === undefined ? {} : { externalTrafficPolicy: parts.external }),
    ...(parts.type === "LoadBalancer" ? { healthCheckNodePort: 32000 } : {}),
  },
  status: { loadBalancer: { ingress: parts.ingress } },
}));

const draining = { ready: false, serving: true, terminating: true };
const flags = { ready: fc.boolean(), serving: fc.boolean(), terminating: fc.boolean() };
/** Hints decide nothing unless every ready endpoint has them, so whole slices have or lack them. */
const sliceEndpoint = (family: "IPv4" | "IPv6", hints: { zones: boolean; nodes: boolean }) =>
  fc.record({
    address: family === "IPv4"
      ? fc.constantFrom("10.244.0.1", "10.244.0.11", "10.244.000.2", "10.244.1.1", "10.244.1.2")
      : fc.constantFrom("fd00:10:244::1", "fd00:10:244:0::2", "fd00:10:244:1::1"),
    conditions: fc.oneof(fc.constantFrom({}, draining), fc.record(flags, { requiredKeys: [] })),
    nodeName: fc.constantFrom(undefined, ...NODES),
    zones: hints.zones ? fc.subarray(ZONES, { minLength: 1 }) : fc.constantFrom(undefined, []),
    nodes: hints.nodes ? fc.subarray(NODES, { minLength: 1 }) : fc.constantFrom(undefined, []),
    pod: fc.boolean(),
  }).map(({ address, conditions, nodeName, zones, nodes, pod }) => ({
    addresses: [address],
    conditions,
    ...(nodeName === undefined ? {} : { nodeName }),
    ...(pod ? { targetRef: { kind: "Pod", namespace: "a", name: "p" } } : {}),
    hints: {
      ...(zones === undefined ? {} : { forZones: zones.map((name) => ({ name })) }),
      ...(nodes === undefined ? {} : { forNodes: nodes.map((name) => ({ name })) }),
    },
  }));

const slice: fc.Arbitrary<ClusterObject> = fc.constantFrom("IPv4" as const, "IPv6" as const).chain(
  (addressType) =>
    fc.record({
      names,
      suffix: fc.constantFrom("1", "2"),
      labels,
      endpoints: fc.record({ zones: fc.boolean(), nodes: fc.boolean() })
        .chain((hints) => fc.array(sliceEndpoint(addressType, hints), { maxLength: 4 })),
      ports: fc.subarray([...portKeys]).map((keys) =>
        keys.map(({ name, protocol }) => ({ name, protocol, port: name === "" ? 8080 : 9090 }))
      ),
    }).map(({ names, suffix, labels, endpoints, ports }): ClusterObject => ({
      kind: "EndpointSlice",
      metadata: {
        // Not by Service: a slice may come to belong to another one.
        name: `slice-${suffix}`,
        namespace: names.namespace,
        labels: { ...labels, "kubernetes.io/service-name": names.name },
      },
      addressType,
      endpoints,
      ports,
    })),
);

const node: fc.Arbitrary<ClusterObject> = fc.record({
  name: fc.constantFrom("lab-node", "lab-node", "other"),
  zone: fc.constantFrom(undefined, ...ZONES),
  addresses: fc.subarray(["192.168.50.10", "192.168.50.11", "fd00:50::10"]),
  podCIDRs: fc.subarray(["10.244.0.0/24", "fd00:10:244::/64"]),
}).map(({ name, zone, addresses, podCIDRs }) => ({
  kind: "Node",
  metadata: {
    name,
    ...(zone === undefined ? {} : { labels: { "topology.kubernetes.io/zone": zone } }),
  },
  spec: { podCIDRs },
  status: { addresses: addresses.map((address) => ({ type: "InternalIP", address })) },
}));

/** An object of any kind that matters to the plan. */
export const clusterObject: fc.Arbitrary<ClusterObject> = fc.oneof(
  { weight: 4, arbitrary: service },
  { weight: 5, arbitrary: slice },
  { weight: 2, arbitrary: node },
);

/** One change; deletions may name what is not there. */
export const clusterChange: fc.Arbitrary<ClusterChange> = fc.record({
  action: fc.oneof(
    { weight: 4, arbitrary: fc.constant("apply" as const) },
    { weight: 1, arbitrary: fc.constant("delete" as const) },
  ),
  object: clusterObject,
});

/** A configuration of a proxy on "lab-node". */
export const plannerConfig: fc.Arbitrary<PlannerConfig> = fc.record({
  nodeName: fc.constant("lab-node"),
  nodeAddresses: fc.constantFrom([], ["192.168.50.10"], ["fd00:50::10", "192.168.50.10"]),
  clusterCIDRs: fc.constantFrom([], ["10.244.0.0/16"], ["fd00:10:244::/48", "10.244.0.0/16"]),
  detectLocalMode: fc.constantFrom("ClusterCIDR", "NodeCIDR", "none" as const),
  masqueradeAll: fc.boolean(),
  nodePortAddresses: fc.constantFrom([], ["primary"], ["192.168.50.0/24"], ["::/0", "10.0.0.0/8"]),
  families: fc.constantFrom(["IPv4", "IPv6"] as const, ["IPv4"] as const, ["IPv6"] as const),
  scheduler: fc.constantFrom("rr", "random" as const),
  localAddresses: fc.constantFrom([], ["192.168.77.1", "127.0.0.1"]),
});
