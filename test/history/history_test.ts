import assert from "node:assert/strict";
import fc from "fast-check";
import type { ClusterChange } from "../../src/cluster/source.ts";
import { History } from "../../src/history/history.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { Planner } from "../../src/plan/planner.ts";
import { clusterChange, plannerConfig } from "../plan/arbitraries.ts";
import { copyOf, outcome, sent } from "./rig.ts";

const steps = fc.array(fc.array(clusterChange, { maxLength: 8 }), { minLength: 1, maxLength: 12 });

Deno.test("the plan behind every entry is what it was then", () => {
  fc.assert(
    fc.property(plannerConfig, steps, (config, steps) => {
      const planner = new Planner(config);
      const history = new History();
      const plans = new Map<number, Plan>();
      for (const [i, changes] of steps.entries()) {
        const change = planner.update(changes);
        history.record(outcome({ timeMs: i, change, changes }));
        const [last] = history.entries();
        if (last !== undefined) plans.set(last.id, copyOf(planner.plan));
      }
      for (const [id, plan] of plans) {
        const then = history.planAt(id)!;
        assert.deepEqual(copyOf(then), plan);
        for (const { service, change } of history.differences(id, 1000)) {
          assert.equal(then.services.has(service), change !== "removed");
          assert.equal(plans.get(id - 1)?.services.has(service) ?? false, change !== "added");
        }
      }
    }),
    { numRuns: 300 },
  );
});

const web = (port: number): ClusterChange => ({
  action: "apply",
  object: {
    kind: "Service",
    metadata: { name: "web", namespace: "default", resourceVersion: String(port) },
    spec: { type: "ClusterIP", clusterIP: "10.0.0.1", ports: [{ protocol: "TCP", port }] },
  },
});

function planned(): {
  planner: Planner;
  record: (...args: Parameters<typeof sync>) => void;
  history: History;
} {
  const planner = new Planner({
    nodeName: "node1",
    nodeAddresses: ["192.0.2.1"],
    clusterCIDRs: [],
    detectLocalMode: "ClusterCIDR",
    masqueradeAll: false,
    nodePortAddresses: [],
    families: ["IPv4"],
    scheduler: "rr",
  });
  const history = new History({ entries: 5, bytes: 1 << 20 });
  let change = planner.update([]);
  const record = (...args: Parameters<typeof sync>) => {
    const { changes, retry, ...more } = sync(...args);
    if (!retry) change = planner.update(changes);
    history.record(outcome({ change, changes: retry ? [] : changes, ...more }));
  };
  history.record(outcome({ change, changes: [] }));
  return { planner, record, history };
}

function sync(
  changes: ClusterChange[],
  more: Partial<Parameters<typeof outcome>[0]> & { retry?: boolean } = {},
) {
  return { changes, ...more };
}

Deno.test("an entry says what it was made for, how long it took and what was sent", () => {
  const { record, history } = planned();
  record([web(80)], { timeMs: 5000, durationMs: 12, sent: [sent("IPv4", "-A X\n")] });
  const [entry, first] = history.entries();
  assert.deepEqual(entry, {
    id: 2,
    ok: true,
    error: null,
    attempts: 1,
    durationMs: 12,
    sent: [sent("IPv4", "-A X\n")],
    time: 5000,
    trigger: "change",
    causes: [{ action: "apply", kind: "Service", object: "default/web", resourceVersion: "80" }],
    causesTotal: 1,
    node: false,
  });
  assert.deepEqual([first.trigger, first.node], ["start", true]);
  assert.deepEqual(history.changedServices(2), ["default/web"]);
  assert.deepEqual(history.entry(2), entry);
  assert.deepEqual([history.entry(3), history.planAt(3)], [null, null]);
});

Deno.test("syncs that change and send nothing leave no trace; those that send do", () => {
  const { record, history } = planned();
  record([web(80)]);
  record([web(80)]);
  record([], { sent: [sent("IPv4", "")] });
  assert.equal(history.entries().length, 2);
  record([], { sent: [sent("IPv4", "-A X\n")] });
  assert.equal(history.entries()[0].trigger, "resync");
});

Deno.test("a sync that is tried again is one entry, until something else is to be done", () => {
  const { record, history } = planned();
  const failed = { ok: false, error: "locked" };
  record([web(80)], failed);
  record([], { ...failed, retry: true });
  record([], { retry: true, durationMs: 7, sent: [sent("IPv4", "-A X\n")] });
  const [entry] = history.entries();
  assert.deepEqual([entry.id, entry.ok, entry.error, entry.attempts, entry.durationMs], [
    2,
    true,
    null,
    3,
    7,
  ]);
  assert.equal(entry.sent[0].text, "-A X\n");
  record([web(81)], failed);
  record([web(82)]);
  assert.deepEqual(
    history.entries().map(({ id, ok, attempts }) => [id, ok, attempts]).slice(0, 2),
    [[4, true, 1], [3, false, 1]],
  );
});

Deno.test("no more is kept than the limits say", () => {
  const { record, history } = planned();
  for (let port = 1; port <= 20; port++) record([web(port)]);
  assert.deepEqual(history.entries().map(({ id }) => id), [21, 20, 19, 18, 17]);
  assert.equal(history.planAt(16), null);
  assert.equal(history.planAt(18)!.services.get("default/web")!.ports[0].frontends[0].port, 17);
  const text = "x".repeat(300_000);
  for (let port = 31; port <= 40; port++) record([web(port)], { sent: [sent("IPv4", text)] });
  assert.equal(history.entries().length, 3);
  assert.ok(history.bytes <= 1 << 20);
  record([web(50)], { sent: [sent("IPv4", "x".repeat(2 << 20))] });
  assert.equal(history.entries().length, 1, "the last one stays, however large");
});
