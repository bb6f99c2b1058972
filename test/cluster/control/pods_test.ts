/** Pods of workloads, their nodes and addresses. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { networkContains } from "../../../src/net/address.ts";
import { computeState, NO_ALLOCATIONS } from "../../../src/cluster/control/control_plane.ts";
import { placePods, type PodRequest } from "../../../src/cluster/control/pod_placement.ts";
import { podsOfWorkload } from "../../../src/cluster/control/workload_pods.ts";
import { objectKey } from "../../../src/cluster/objects.ts";
import type { ManifestObject } from "../../../src/cluster/schema/object.ts";
import { formatProblem } from "../../../src/cluster/source.ts";
import { decoded, located, network, node, OPTIONS, pod, workload } from "../cluster_helpers.ts";

function compute(...objects: ManifestObject[]) {
  const { pods, problems } = computeState(located(...objects), OPTIONS, NO_ALLOCATIONS);
  return {
    pods: pods.map(({ metadata, spec, status }) =>
      `${metadata.name}@${spec.nodeName} ${status.podIPs.join()}`
    ),
    problems: problems.map(formatProblem),
  };
}

Deno.test("StatefulSet pods are named by ordinal and have a hostname", () => {
  const set = workload("StatefulSet", "web", 2, { serviceName: "nginx", ordinals: { start: 5 } });
  const pods = podsOfWorkload(set, []);
  assert.deepEqual(pods.map((one) => one.metadata.name), ["web-5", "web-6"]);
  assert.deepEqual(pods[0].spec.hostname, "web-5");
  assert.deepEqual(pods[0].spec.subdomain, "nginx");
  assert.deepEqual(pods[0].metadata.labels, {
    app: "web",
    "statefulset.kubernetes.io/pod-name": "web-5",
    "apps.kubernetes.io/pod-index": "5",
  });
});

Deno.test("fewer replicas leave out the last pods, of all kinds of workload", () => {
  for (const kind of ["Deployment", "ReplicaSet", "StatefulSet"] as const) {
    const names = (replicas: number) =>
      podsOfWorkload(workload(kind, "web", replicas), []).map((one) => one.metadata.name);
    const many = names(300);
    assert.equal(new Set(many).size, 300);
    for (const replicas of [0, 1, 7, 299]) {
      assert.deepEqual(names(replicas), many.slice(0, replicas));
    }
  }
});

Deno.test("a DaemonSet has a pod on each node", () => {
  const { pods } = compute(workload("DaemonSet", "d", 1), node("n1"), node("n2"));
  assert.deepEqual(pods.map((one) => one.replace(/^d-.{5}(@\w+).*/, "$1")), ["@n1", "@n2"]);
});

Deno.test("pods go round the nodes, this node first, and get addresses of their node's network", () => {
  const { pods } = compute(
    workload("StatefulSet", "a", 3),
    node("n0", "z", ["10.1.0.0/24", "fd00:1::/64"]),
    node("n1", "z", ["10.2.0.0/24"]),
  );
  assert.match(pods[0], /^a-0@n1 10\.2\.0\.\d+,fd00:10:244::[0-9a-f]+$/);
  assert.match(pods[1], /^a-1@n0 10\.1\.0\.\d+,fd00:1::[0-9a-f]+$/);
  assert.match(pods[2], /^a-2@n1 /);
});

Deno.test("explicit nodes and addresses win", () => {
  const annotated = decoded<ManifestObject>({
    apiVersion: "apps/v1",
    kind: "StatefulSet",
    metadata: {
      name: "a",
      annotations: { "switchyard/pod-addresses": "10.2.0.7 10.9.9.9,FD00::9" },
    },
    spec: { replicas: 2, template: { spec: { containers: [] } } },
  });
  assert.deepEqual(
    compute(
      annotated,
      pod("b", {}, { nodeName: "n7" }, { podIP: "10.3.0.1" }),
      pod("c", {}, { hostNetwork: true }),
      node("n1"),
      node("n2", "z", ["10.2.0.0/24"]),
    ),
    {
      pods: [
        "b@n7 10.3.0.1",
        "c@n2 192.168.1.1",
        "a-0@n2 10.2.0.7",
        "a-1@n2 10.9.9.9,fd00::9",
      ],
      problems: [],
    },
  );
});

Deno.test("two pods with one address, and an annotation that is no address, are reported", () => {
  const { pods, problems } = compute(
    pod("a", {}, {}, { podIP: "10.3.0.1" }),
    pod("b", {}, {}, { podIP: "10.3.0.1" }),
    pod("done", {}, {}, { podIP: "10.3.0.1", phase: "Succeeded" }),
    decoded({
      apiVersion: "apps/v1",
      kind: "StatefulSet",
      metadata: { name: "w", annotations: { "switchyard/pod-addresses": "10.3.0.2 10.3.0.x" } },
      spec: { template: { spec: { containers: [] } } },
    }),
  );
  assert.deepEqual(problems, [
    'test.yaml:4: StatefulSet default/w: metadata.annotations["switchyard/pod-addresses"]: ' +
    'expected an IP address, found "10.3.0.x"',
    "test.yaml:2: Pod default/b: status.podIPs: 10.3.0.1 is the address of Pod default/a",
  ]);
  assert.deepEqual(pods.map((one) => one.split("@")[0]), ["a", "done", "w-0"]);
});

Deno.test("workloads whose pods are given, as in a dump of a cluster, make none", () => {
  const owned = (name: string, kind: string, owner: string, own: Record<string, unknown>) =>
    decoded<ManifestObject>({
      metadata: { name, ownerReferences: [{ kind, name: owner, controller: true }] },
      ...own,
    });
  const template = { template: { spec: { containers: [] } } };
  const replicaSet = { apiVersion: "apps/v1", kind: "ReplicaSet", spec: template };
  const onePod = { apiVersion: "v1", kind: "Pod", spec: { containers: [] } };
  const { pods } = compute(
    workload("Deployment", "web", 2),
    owned("web-5d9f", "Deployment", "web", replicaSet),
    owned("web-5d9f-x", "ReplicaSet", "web-5d9f", onePod),
    workload("Deployment", "other", 1),
    owned("other-77", "Deployment", "other", replicaSet),
    owned("gone-1", "Deployment", "gone", replicaSet),
    workload("StatefulSet", "set", 2),
    owned("set-0", "StatefulSet", "set", onePod),
  );
  assert.deepEqual(pods.map((one) => one.replace(/-.{5}@.*/, "-*").replace(/@.*/, "")), [
    "web-5d9f-x",
    "set-0",
    "other-*",
    "gone-1-*",
  ]);
});

Deno.test("more pods than a cluster or its networks have are refused, soon", () => {
  const many = Array.from({ length: 16 }, (_, i) => workload("Deployment", `d${i}`, 10_000));
  const { problems, pods } = computeState(located(...many), OPTIONS, NO_ALLOCATIONS);
  assert.equal(pods.length, 65533);
  assert.equal(
    formatProblem(problems[0]),
    "test.yaml:16: Deployment default/d15: spec.replicas: more than 150000 pods with those of " +
      "other objects",
  );
  assert.match(formatProblem(problems[1]), /: Pod default\/.*: no address of its network is free$/);
  assert.equal(problems.length, 1 + 150_000 - pods.length);
});

Deno.test("addresses never collide, are of the node's network, and stay through any edit", () => {
  const nodes = [node("n1", "a", ["10.1.0.0/26"]), node("n2", "a", ["10.2.0.0/26"])];
  const options = { nodes, podNetworks: [network("fd00::/120")], nodeName: "n1" };
  const request = fc.record({
    name: fc.integer({ min: 0, max: 40 }).map((i) => `p${i}`),
    ordinal: fc.nat({ max: 5 }),
    explicit: fc.option(fc.constantFrom("10.1.0.9", "10.2.0.9", "10.7.0.1"), { freq: 5 }),
  });
  const requests = fc.uniqueArray(request, { selector: (one) => one.name }).map((all) =>
    all.map(({ name, ordinal, explicit }): PodRequest => ({
      pod: pod(name, {}),
      ordinal,
      addresses: explicit === null ? [] : [explicit],
      where: "t",
    }))
  );
  fc.assert(
    fc.property(requests, requests, (first, second) => {
      const before = placePods(first, options, new Map());
      const after = placePods(second, options, before.placements);
      for (const { pods } of [before, after]) {
        const all = pods.flatMap((one) => one.status.podIPs);
        assert.equal(new Set(all).size, all.length);
      }
      const claimed = new Set(second.flatMap((one) => one.addresses));
      for (const { pod, addresses } of second) {
        const placement = after.placements.get(objectKey(pod));
        if (placement === undefined || addresses.length > 0) continue;
        const own = network(placement.node === "n1" ? "10.1.0.0/26" : "10.2.0.0/26");
        assert(networkContains(own, placement.addresses[0]));
        const kept = before.placements.get(objectKey(pod));
        const free = kept !== undefined && !kept.addresses.some((one) => claimed.has(one)) &&
          kept.addresses.length === 2;
        if (free) assert.deepEqual(placement, kept);
      }
    }),
    { numRuns: 300 },
  );
});
