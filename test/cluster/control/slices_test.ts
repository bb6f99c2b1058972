/** EndpointSlices computed from pods, and mirrored from Endpoints. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { computeState, NO_ALLOCATIONS } from "../../../src/cluster/control/control_plane.ts";
import { endpointSlicesOf } from "../../../src/cluster/control/endpoint_slices.ts";
import { mirroredSlicesOf } from "../../../src/cluster/control/mirrored_slices.ts";
import { PodIndex } from "../../../src/cluster/control/selector.ts";
import { withDefaults } from "../../../src/cluster/control/service_defaults.ts";
import type { EndpointSlice, Pod, Service } from "../../../src/cluster/objects.ts";
import type { Endpoints } from "../../../src/cluster/schema/endpoints.ts";
import type { ManifestObject } from "../../../src/cluster/schema/object.ts";
import { addressesIn, decoded, located, node, OPTIONS, pod, service } from "../cluster_helpers.ts";

const NODES = new Map([["n1", node("n1", "zone-a")], ["n2", node("n2")]]);

function ready(name: string, spec: Record<string, unknown> = {}): Service {
  const result = withDefaults(service(name, { selector: { app: "web" }, ...spec }), [
    "IPv4",
    "IPv6",
  ]);
  if ("message" in result) throw new TypeError(result.message);
  return result;
}

function web(name: string, spec: Record<string, unknown>, status: Record<string, unknown>): Pod {
  return pod(name, { app: "web" }, spec, { podIP: "10.1.0.1", ...status });
}

function slices(spec: Record<string, unknown>, ...pods: Pod[]): EndpointSlice[] {
  return endpointSlicesOf(ready("web", spec), pods, NODES);
}

/** Pod status and Service fields, and the conditions that they come to. */
const CONDITIONS: readonly [
  string,
  Record<string, unknown>,
  Record<string, unknown>,
  [boolean, boolean, boolean] | null,
][] = [
  ["no conditions: ready", {}, {}, [true, true, false]],
  ["Ready", { conditions: [{ type: "Ready", status: "True" }] }, {}, [true, true, false]],
  ["not Ready", { conditions: [{ type: "Ready", status: "False" }] }, {}, [false, false, false]],
  ["Ready unknown", { conditions: [{ type: "Ready", status: "Unknown" }] }, {}, [
    false,
    false,
    false,
  ]],
  ["no Ready condition", { conditions: [] }, {}, [false, false, false]],
  ["terminating", { deletionTimestamp: "2024-01-01T00:00:00Z" }, {}, [false, true, true]],
  [
    "terminating, not Ready",
    { deletionTimestamp: "x", conditions: [{ type: "Ready", status: "False" }] },
    {},
    [false, false, true],
  ],
  [
    "not Ready but published",
    { conditions: [{ type: "Ready", status: "False" }] },
    { publishNotReadyAddresses: true },
    [true, false, false],
  ],
  [
    "terminating but published",
    { deletionTimestamp: "x" },
    { publishNotReadyAddresses: true },
    [true, true, true],
  ],
  ["succeeded", { phase: "Succeeded" }, { publishNotReadyAddresses: true }, null],
  ["failed", { phase: "Failed" }, {}, null],
];
for (const [what, { deletionTimestamp, ...status }, spec, expected] of CONDITIONS) {
  Deno.test(`conditions of a pod that is ${what}`, () => {
    const plain = web("a", {}, status);
    const given = typeof deletionTimestamp === "string"
      ? { ...plain, metadata: { ...plain.metadata, deletionTimestamp } }
      : plain;
    const [{ endpoints }] = slices(spec, given);
    if (expected === null) return assert.deepEqual(endpoints, []);
    const [ready, serving, terminating] = expected;
    assert.deepEqual(endpoints[0].conditions, { ready, serving, terminating });
  });
}

Deno.test("an endpoint has its pod's node, zone and name, and a hostname if the Service gives one", () => {
  const [{ endpoints, metadata }] = slices(
    {},
    web("a", { nodeName: "n1", hostname: "h", subdomain: "web" }, { podIP: "10.1.0.1" }),
    web("b", { nodeName: "n2", hostname: "h", subdomain: "other" }, { podIP: "10.1.0.2" }),
    web("c", { nodeName: "unknown" }, { podIP: "10.1.0.3" }),
  );
  const conditions = { ready: true, serving: true, terminating: false };
  const ref = (name: string) => ({ kind: "Pod", namespace: "default", name });
  assert.deepEqual(endpoints, [
    {
      addresses: ["10.1.0.1"],
      conditions,
      hostname: "h",
      nodeName: "n1",
      zone: "zone-a",
      targetRef: ref("a"),
    },
    { addresses: ["10.1.0.2"], conditions, nodeName: "n2", targetRef: ref("b") },
    { addresses: ["10.1.0.3"], conditions, nodeName: "unknown", targetRef: ref("c") },
  ]);
  assert.deepEqual(metadata.labels, {
    "kubernetes.io/service-name": "web",
    "endpointslice.kubernetes.io/managed-by": "endpointslice-controller.k8s.io",
  });
});

Deno.test("named target ports are those of each pod; pods without the name are apart", () => {
  const named = (name: string, ip: string, ...ports: Record<string, unknown>[]) =>
    web(name, { containers: [{ name: "c", ports }] }, { podIP: ip });
  const spec = {
    ports: [
      { name: "http", port: 80, targetPort: "web" },
      { name: "metrics", port: 90, targetPort: 9090 },
    ],
  };
  const found = slices(
    spec,
    named("a", "10.1.0.1", { name: "web", containerPort: 8080 }),
    named("b", "10.1.0.2", { name: "web", containerPort: 8081 }),
    named("c", "10.1.0.3", { name: "web", containerPort: 8080 }),
    named("d", "10.1.0.4", { name: "web", containerPort: 8080, protocol: "UDP" }),
    web("e", {
      containers: [],
      initContainers: [
        { name: "i", ports: [{ name: "web", containerPort: 1 }] },
        { name: "s", restartPolicy: "Always", ports: [{ name: "web", containerPort: 8080 }] },
      ],
    }, { podIP: "10.1.0.5" }),
  );
  const metrics = { name: "metrics", protocol: "TCP", port: 9090 };
  const http = (port: number) => ({ name: "http", protocol: "TCP", port });
  assert.deepEqual(found.map(({ ports }) => ports), [
    [http(8080), metrics],
    [http(8081), metrics],
    [metrics],
  ]);
  assert.deepEqual(found.map((slice) => addressesIn([slice])), [
    ["10.1.0.1", "10.1.0.3", "10.1.0.5"],
    ["10.1.0.2"],
    ["10.1.0.4"],
  ]);
  assert.equal(new Set(found.map((slice) => slice.metadata.name)).size, 3);
});

Deno.test("a dual-stack Service has slices of both families, empty ones too", () => {
  const spec = { ipFamilyPolicy: "RequireDualStack" };
  const podIPs = [{ ip: "10.1.0.1" }, { ip: "fd00::1" }];
  const found = slices(spec, web("a", {}, { podIPs }), web("b", {}, { podIP: "10.1.0.2" }));
  assert.deepEqual(found.map((slice) => [slice.addressType, addressesIn([slice])]), [
    ["IPv4", ["10.1.0.1", "10.1.0.2"]],
    ["IPv6", ["fd00::1"]],
  ]);
  const empty = slices(spec, web("b", {}, { podIP: "10.1.0.2" }))[1];
  assert.deepEqual([empty.addressType, empty.endpoints, empty.ports], ["IPv6", [], []]);
});

Deno.test("trafficDistribution hints at the endpoint's own zone and node", () => {
  const one = web("a", { nodeName: "n1" }, {});
  const hints = (trafficDistribution: string) =>
    slices({ trafficDistribution }, one)[0].endpoints[0].hints;
  assert.deepEqual(hints("PreferClose"), { forZones: [{ name: "zone-a" }] });
  assert.deepEqual(hints("PreferSameZone"), { forZones: [{ name: "zone-a" }] });
  assert.deepEqual(hints("PreferSameNode"), {
    forZones: [{ name: "zone-a" }],
    forNodes: [{ name: "n1" }],
  });
  assert.equal(hints("Whatever"), undefined);
});

Deno.test("headless Services mark their slices, and their own labels are copied", () => {
  const labelled = ready("web", { clusterIP: "None" });
  const [slice] = endpointSlicesOf(
    { ...labelled, metadata: { ...labelled.metadata, labels: { team: "x" } } },
    [],
    NODES,
  );
  assert.equal(slice.metadata.labels?.["service.kubernetes.io/headless"], "");
  assert.equal(slice.metadata.labels?.team, "x");
});

function endpoints(metadata: Record<string, unknown> = {}): Endpoints {
  return decoded({
    apiVersion: "v1",
    kind: "Endpoints",
    metadata: { name: "reg", ...metadata },
    subsets: [{
      addresses: [{ ip: "192.168.146.90", hostname: "h" }, { ip: "fd00::9" }],
      notReadyAddresses: [{ ip: "192.168.146.91" }],
      ports: [{ name: "", port: 80 }],
    }, { addresses: [{ ip: "192.168.146.92" }], ports: [{ name: "b", port: 81 }] }],
  });
}

Deno.test("Endpoints are mirrored subset by subset, family by family", () => {
  const found = mirroredSlicesOf(endpoints());
  assert.deepEqual(
    found.map(({ addressType, ports, endpoints }) => [addressType, ports, endpoints]),
    [
      ["IPv4", [{ protocol: "TCP", port: 80 }], [
        { addresses: ["192.168.146.90"], conditions: { ready: true }, hostname: "h" },
        { addresses: ["192.168.146.91"], conditions: { ready: false } },
      ]],
      ["IPv6", [{ protocol: "TCP", port: 80 }], [
        { addresses: ["fd00::9"], conditions: { ready: true } },
      ]],
      ["IPv4", [{ name: "b", protocol: "TCP", port: 81 }], [
        { addresses: ["192.168.146.92"], conditions: { ready: true } },
      ]],
    ],
  );
  assert.equal(new Set(found.map((slice) => slice.metadata.name)).size, 3);
  const skipped = { labels: { "endpointslice.kubernetes.io/skip-mirror": "true" } };
  assert.deepEqual(mirroredSlicesOf(endpoints(skipped)), []);
  const leader = { annotations: { "control-plane.alpha.kubernetes.io/leader": "{}" } };
  assert.deepEqual(mirroredSlicesOf(endpoints(leader)), []);
});

/** Addresses of all slices of the state that these objects come to. */
function stateAddresses(...objects: ManifestObject[]): string[] {
  const { objects: all } = computeState(located(...objects), OPTIONS, NO_ALLOCATIONS);
  return addressesIn(all.filter((one): one is EndpointSlice => one.kind === "EndpointSlice"));
}

function givenSlice(managedBy?: string): EndpointSlice {
  return decoded({
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      name: "given",
      labels: {
        "kubernetes.io/service-name": "reg",
        "endpointslice.kubernetes.io/managed-by": managedBy ?? "me",
      },
    },
    addressType: "IPv4",
    endpoints: [{ addresses: ["10.8.0.1"] }],
  });
}

Deno.test("Endpoints count only for a Service without selector, EndpointSlices always", () => {
  const mirrored = ["192.168.146.90", "192.168.146.91", "fd00::9", "192.168.146.92"];
  assert.deepEqual(stateAddresses(endpoints()), []);
  assert.deepEqual(stateAddresses(service("reg"), endpoints()), mirrored);
  assert.deepEqual(stateAddresses(service("reg", { selector: { a: "b" } }), endpoints()), []);
  assert.deepEqual(stateAddresses(service("reg"), endpoints(), givenSlice()), [
    "10.8.0.1",
    ...mirrored,
  ]);
});

Deno.test("slices that the cluster's controllers made, as in a dump, are not made again", () => {
  const selecting = service("reg", { selector: { app: "web" } });
  const one = web("a", {}, { podIP: "10.1.0.1" });
  assert.deepEqual(stateAddresses(selecting, one, givenSlice()), ["10.8.0.1", "10.1.0.1"]);
  const computed = givenSlice("endpointslice-controller.k8s.io");
  assert.deepEqual(stateAddresses(selecting, one, computed), ["10.8.0.1"]);
  const mirrored = givenSlice("endpointslicemirroring-controller.k8s.io");
  assert.deepEqual(stateAddresses(service("reg"), endpoints(), mirrored), ["10.8.0.1"]);
});

Deno.test("slices hold at most 100 endpoints, and exactly the pods that match", () => {
  const label = fc.constantFrom("a", "b");
  const labels = fc.record({ app: label, tier: label }, { requiredKeys: [] });
  const pods = fc.array(fc.tuple(labels, fc.constantFrom(8080, 8081)), { maxLength: 350 })
    .map((all) =>
      all.map(([labels, containerPort], i): Pod => ({
        kind: "Pod",
        metadata: { name: `p${i}`, namespace: i % 7 === 0 ? "other" : "default", labels },
        spec: {
          containers: [{ name: "c", ports: [{ name: "http", containerPort, protocol: "TCP" }] }],
        },
        status: { podIPs: [`10.1.${i >> 8}.${i & 255}`, `fd00::${i.toString(16)}`] },
      }))
    );
  fc.assert(
    fc.property(pods, labels, (all, selector) => {
      const dual = ready("web", {
        selector: { any: "x" },
        ipFamilyPolicy: "RequireDualStack",
        ports: [{ port: 80, targetPort: "http" }],
      });
      const found = endpointSlicesOf(dual, new PodIndex(all).matching("default", selector), NODES);
      const expected = all.filter(({ metadata }) =>
        metadata.namespace === "default" &&
        Object.entries(selector).every(([key, value]) => metadata.labels?.[key] === value)
      );
      assert.equal(new Set(found.map((slice) => slice.metadata.name)).size, found.length);
      for (const slice of found) assert(slice.endpoints.length <= 100);
      assert.deepEqual(
        addressesIn(found).sort(),
        expected.flatMap((one) => one.status.podIPs).sort(),
      );
      for (const slice of found) {
        for (const { targetRef } of slice.endpoints) {
          const target = all.find((one) => one.metadata.name === targetRef?.name);
          assert.equal(target?.spec.containers[0].ports[0].containerPort, slice.ports[0].port);
        }
      }
    }),
    { numRuns: 60 },
  );
});
