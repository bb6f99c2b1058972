import assert from "node:assert/strict";
import { ClusterEvents } from "../../src/agent/cluster_events.ts";
import type { ClusterEvent } from "../../src/cluster/kubernetes/event_recorder.ts";

function recorded() {
  const events: ClusterEvent[] = [];
  let now = 0;
  const teller = new ClusterEvents(
    { record: (event) => events.push(event) },
    "node-a",
    () => now,
  );
  return { events, teller, wait: (ms: number) => now += ms };
}

const problem = (name: string, more: { field?: string; message?: string } = {}) => ({
  where: "plan",
  object: `Service default/${name}`,
  message: "its address is another's",
  ...more,
});

Deno.test("the node's Events are kube-proxy's", () => {
  const { events, teller } = recorded();
  teller.started();
  teller.listenFailed("healthz", "cannot listen on 0.0.0.0:10256: the port is in use");
  teller.listenFailed("metrics", "no");
  assert.deepEqual(events.map(({ type, reason, action }) => `${type} ${reason} ${action}`), [
    "Normal Starting StartKubeProxy",
    "Warning FailedToStartProxierHealthcheck StartKubeProxy",
    "Warning FailedToStartMetricServer StartKubeProxy",
  ]);
  for (const { regarding } of events) {
    assert.deepEqual(regarding, { kind: "Node", name: "node-a", uid: "node-a" });
  }
  assert.equal(events[1].note, "cannot listen on 0.0.0.0:10256: the port is in use");
});

Deno.test("a Service that is not served is told once for as long as that lasts", () => {
  const { events, teller } = recorded();
  const web = problem("web");
  teller.problems([web, { where: "https://api/", message: "away" }]);
  teller.problems([web]);
  assert.equal(events.length, 1);
  assert.deepEqual(events[0], {
    regarding: { apiVersion: "v1", kind: "Service", namespace: "default", name: "web" },
    type: "Warning",
    reason: "ServiceNotServed",
    action: "Program",
    note: "node node-a: its address is another's",
  });
  teller.problems([]);
  teller.problems([web]);
  assert.equal(events.length, 2);
});

Deno.test("a health check node port that cannot be had is told as kube-proxy does", () => {
  const { events, teller } = recorded();
  teller.problems([problem("web", { field: "spec.healthCheckNodePort", message: "in use" })]);
  const [{ reason, action, note }] = events;
  assert.deepEqual([reason, action], ["FailedToStartServiceHealthcheck", "Listen"]);
  assert.equal(note, "node node-a: spec.healthCheckNodePort: in use");
});

Deno.test("few of many are told in an hour", () => {
  const { events, teller, wait } = recorded();
  teller.problems(Array.from({ length: 1000 }, (_, i) => problem(`s-${i}`)));
  assert.equal(events.length, 10);
  wait(3_600_000);
  teller.problems(Array.from({ length: 1000 }, (_, i) => problem(`t-${i}`)));
  assert.equal(events.length, 20);
});
