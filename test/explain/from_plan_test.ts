import assert from "node:assert/strict";
import { explainByPlan } from "../../src/explain/from_plan.ts";
import { plannerOf } from "../dataplane/iptables/plans.ts";

const plan = plannerOf([
  {
    kind: "Service",
    metadata: { name: "hostnames", namespace: "default" },
    spec: {
      type: "ClusterIP",
      clusterIP: "10.0.1.175",
      ports: [{ name: "", protocol: "TCP", port: 80 }],
    },
  },
  {
    kind: "EndpointSlice",
    metadata: {
      name: "hostnames",
      namespace: "default",
      labels: { "kubernetes.io/service-name": "hostnames" },
    },
    addressType: "IPv4",
    endpoints: [{ addresses: ["10.180.0.1"] }, { addresses: ["10.180.0.2"] }],
    ports: [{ name: "", protocol: "TCP", port: 9376 }],
  },
]).plan;

Deno.test("the plan answers in the same shape", () => {
  const flow = { name: "a", source: "10.180.0.1", dest: "10.0.1.175", port: 80 };
  const [found, passed] = explainByPlan([
    { ...flow, protocol: "TCP" },
    { ...flow, name: "b", protocol: "UDP" },
  ], plan);
  assert.equal(found.name, "a");
  assert.equal(found.verdict, "FORWARD");
  assert.equal(found.service, "default/hostnames");
  assert.equal(found.masquerade, false);
  assert.deepEqual(found.backends, [
    { address: "10.180.0.1", port: 9376, probability: 0.5, masquerade: true },
    { address: "10.180.0.2", port: 9376, probability: 0.5, masquerade: false },
  ]);
  assert.deepEqual(found.outcomes.map(({ probability, steps }) => [probability, steps]), [
    [0.5, [0, 1]],
    [0.5, [0, 1]],
  ]);
  assert.deepEqual(found.steps.map(({ text, action }) => [text, action]), [
    ["source 10.180.0.1", "a local pod's"],
    [
      "destination 10.0.1.175",
      "ClusterIP 10.0.1.175:80/TCP: policy Cluster, 2 of 2 endpoints for sources of class pod",
    ],
  ]);
  assert.equal(passed.verdict, "PASS");
  assert.equal(passed.service, null);
  assert.deepEqual(passed.backends, []);
  assert.equal(passed.outcomes[0].probability, 1);
});
