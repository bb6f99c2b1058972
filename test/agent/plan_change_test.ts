import assert from "node:assert/strict";
import fc from "fast-check";
import { isNoChange, mergeChanges, NO_CHANGE } from "../../src/agent/plan_change.ts";
import type { PlanChange, ServicePlan } from "../../src/plan/plan.ts";

const service = (name: string, version: number): ServicePlan => ({
  namespace: "ns",
  name,
  type: "ClusterIP",
  headless: true,
  ports: [],
  healthCheckNodePort: version,
  localReadyEndpoints: 0,
});

const names = fc.constantFrom("a", "b", "c", "d");
const change: fc.Arbitrary<PlanChange> = fc.record({
  node: fc.option(fc.record({
    name: fc.constantFrom("n1", "n2"),
    addresses: fc.constant([]),
    nodePortAddresses: fc.constant([]),
    podNetworks: fc.constant([]),
  })),
  services: fc.uniqueArray(fc.tuple(names, fc.nat(9), fc.boolean()), {
    selector: ([name]) => name,
  }),
}).map(({ node, services }) => ({
  node,
  updated: services.filter(([, , here]) => here).map(([name, version]) => service(name, version)),
  removed: services.filter(([, , here]) => !here).map(([name]) => `ns/${name}`),
}));

interface State {
  node: PlanChange["node"];
  services: Map<string, ServicePlan>;
}

function apply(state: State, { node, updated, removed }: PlanChange): State {
  const services = new Map(state.services);
  for (const key of removed) services.delete(key);
  for (const entry of updated) services.set(`${entry.namespace}/${entry.name}`, entry);
  return { node: node ?? state.node, services };
}

Deno.test("a merged change does what its parts do one after the other", () => {
  fc.assert(
    fc.property(change, fc.array(change, { maxLength: 5 }), (initial, changes) => {
      const start = apply({ node: null, services: new Map() }, initial);
      const merged = changes.reduce(mergeChanges, NO_CHANGE);
      const once = apply(start, merged);
      const stepwise = changes.reduce(apply, start);
      assert.deepEqual(
        [once.node, [...once.services].sort()],
        [stepwise.node, [...stepwise.services].sort()],
      );
      const updated = new Set(merged.updated.map((entry) => `ns/${entry.name}`));
      assert.ok(merged.removed.every((key) => !updated.has(key)), "in one list only");
    }),
    { numRuns: 200 },
  );
});

Deno.test("no change is none", () => {
  assert.equal(isNoChange(mergeChanges(NO_CHANGE, NO_CHANGE)), true);
  assert.equal(isNoChange({ ...NO_CHANGE, removed: ["a/b"] }), false);
});
