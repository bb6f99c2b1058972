import assert from "node:assert/strict";
import fc from "fast-check";
import { type ClusterObject, objectKey, type Protocol } from "../../src/cluster/objects.ts";
import type { ClusterChange } from "../../src/cluster/source.ts";
import { FrontendIndex } from "../../src/plan/frontend_index.ts";
import type { NodeInfo, Plan, ServicePlan } from "../../src/plan/plan.ts";
import { Planner } from "../../src/plan/planner.ts";
import { clusterChange, clusterObject, plannerConfig } from "./arbitraries.ts";
import { modelPlan } from "./model.ts";

const idOf = (object: ClusterObject) => `${object.kind} ${objectKey(object)}`;

function applyTo(state: Map<string, ClusterObject>, changes: readonly ClusterChange[]): void {
  for (const { action, object } of changes) {
    if (action === "apply") state.set(idOf(object), object);
    else state.delete(idOf(object));
  }
}

function sortedServices(plan: Plan): ServicePlan[] {
  return [...plan.services.keys()].sort().map((key) => plan.services.get(key)!);
}

Deno.test("after every step the incremental plan equals the model's", () => {
  fc.assert(
    fc.property(
      plannerConfig,
      fc.array(fc.array(clusterChange, { maxLength: 12 }), { minLength: 1, maxLength: 8 }),
      (config, steps) => {
        const planner = new Planner(config);
        const state = new Map<string, ClusterObject>();
        for (const changes of steps) {
          planner.update(changes);
          applyTo(state, changes);
          const model = modelPlan(config, [...state.values()]);
          assert.deepEqual(planner.plan.node, model.node);
          assert.deepEqual(sortedServices(planner.plan), model.services);
        }
      },
    ),
    { numRuns: 1500 },
  );
});

Deno.test("changes applied to the former plan give the new one, and name only what differs", () => {
  fc.assert(
    fc.property(
      plannerConfig,
      fc.array(fc.array(clusterChange, { maxLength: 10 }), { minLength: 1, maxLength: 6 }),
      (config, steps) => {
        const planner = new Planner(config);
        const follower = new Map<string, ServicePlan>();
        const index = new FrontendIndex(planner.plan);
        const following = new FrontendIndex(planner.plan);
        const dialled = new Set<string>();
        let node: NodeInfo | null = null;
        for (const changes of steps) {
          const change = planner.update(changes);
          if (node === null) assert.notEqual(change.node, null);
          else if (change.node !== null) assert.notDeepEqual(change.node, node);
          node = change.node ?? node;
          for (const key of change.removed) assert.ok(follower.delete(key), `${key} was unknown`);
          for (const service of change.updated) {
            const key = `${service.namespace}/${service.name}`;
            assert.notDeepEqual(service, follower.get(key), `${key} is not different`);
            follower.set(key, service);
          }
          assert.deepEqual(follower, planner.plan.services);
          assert.deepEqual(node, planner.plan.node);

          index.apply(change);
          following.follow(planner.plan);
          const fresh = new FrontendIndex(planner.plan);
          for (const service of planner.plan.services.values()) {
            for (const { protocol, frontends } of service.ports) {
              for (const { address, port } of frontends) {
                if (address !== null) dialled.add(`${address} ${port} ${protocol}`);
                else node?.addresses.forEach((own) => dialled.add(`${own} ${port} ${protocol}`));
              }
            }
          }
          for (const [address, port, protocol] of [...dialled].map((text) => text.split(" "))) {
            const args = [address, Number(port), protocol as Protocol] as const;
            assert.deepEqual(index.find(...args), fresh.find(...args));
            assert.deepEqual(following.find(...args), fresh.find(...args));
          }
        }
      },
    ),
    { numRuns: 200 },
  );
});

Deno.test("a fork goes its own way, and so does what it was made from", () => {
  const steps = fc.array(fc.array(clusterChange, { maxLength: 10 }), { maxLength: 3 });
  fc.assert(
    fc.property(plannerConfig, steps, steps, steps, (config, common, own, others) => {
      const planner = new Planner(config);
      const state = new Map<string, ClusterObject>();
      const take = (
        one: Planner,
        objects: Map<string, ClusterObject>,
        changes: ClusterChange[],
      ) => {
        one.update(changes);
        applyTo(objects, changes);
      };
      for (const changes of common) take(planner, state, changes);
      const fork = planner.fork();
      const forked = new Map(state);
      // In turns, so that what the one did wrong would be seen in the other.
      for (let i = 0; i < Math.max(own.length, others.length); i++) {
        take(planner, state, own[i] ?? []);
        take(fork, forked, others[i] ?? []);
        for (const [one, objects] of [[planner, state], [fork, forked]] as const) {
          const model = modelPlan(config, [...objects.values()]);
          assert.deepEqual(one.plan.node, model.node);
          assert.deepEqual(sortedServices(one.plan), model.services);
        }
      }
      assert.deepEqual(fork.fork().problems, fork.problems);
    }),
    { numRuns: 300 },
  );
});

Deno.test("the order and the batches in which objects arrive do not matter", () => {
  const objects = fc.uniqueArray(clusterObject, { maxLength: 16, selector: idOf });
  fc.assert(
    fc.property(
      plannerConfig,
      objects.chain((list) =>
        fc.tuple(
          fc.constant(list),
          fc.shuffledSubarray(list, { minLength: list.length }),
          fc.nat({ max: Math.max(0, list.length) }),
        )
      ),
      (config, [one, other, cut]) => {
        const changes = (list: ClusterObject[]) =>
          list.map((object): ClusterChange => ({ action: "apply", object }));
        const first = new Planner(config);
        first.update(changes(one));
        const second = new Planner(config);
        second.update(changes(other.slice(0, cut)));
        second.update(changes(other.slice(cut)));
        assert.deepEqual(sortedServices(first.plan), sortedServices(second.plan));
        assert.deepEqual(first.plan.node, second.plan.node);
        assert.deepEqual(first.problems, second.problems);
      },
    ),
    { numRuns: 200 },
  );
});

Deno.test("what is applied and then deleted leaves nothing behind", () => {
  fc.assert(
    fc.property(
      plannerConfig,
      fc.uniqueArray(clusterObject, { maxLength: 12, selector: idOf }),
      (config, objects) => {
        const planner = new Planner(config);
        planner.update(objects.map((object) => ({ action: "apply", object })));
        const former = [...planner.plan.services.keys()].sort();
        const { removed } = planner.update(
          objects.map((object) => ({ action: "delete", object })),
        );
        assert.deepEqual(removed, former);
        assert.equal(planner.plan.services.size, 0);
        assert.deepEqual(planner.problems, []);
      },
    ),
    { numRuns: 100 },
  );
});
