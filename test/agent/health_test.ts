import assert from "node:assert/strict";
import { ProxyHealth } from "../../src/agent/health.ts";
import type { Node } from "../../src/cluster/objects.ts";
import { FakeClock } from "./fake_clock.ts";

const node = (more: Partial<Node> = {}): Node => ({
  kind: "Node",
  metadata: { name: "node-a" },
  ...more,
});

function health() {
  const clock = new FakeClock();
  return { clock, health: new ProxyHealth(["IPv4", "IPv6"], 60_000, clock) };
}

Deno.test("a proxy without changes is healthy for ever", async () => {
  const { clock, health: proxy } = health();
  assert.equal(proxy.report().healthy, true);
  assert.deepEqual(proxy.report().status, []);
  proxy.updated();
  const updated = clock.now();
  await clock.advance(1e9);
  const report = proxy.report();
  assert.equal(report.healthy, true);
  assert.equal(report.lastUpdated, clock.now());
  assert.deepEqual(report.status, [
    { family: "IPv4", healthy: true, lastUpdated: updated },
    { family: "IPv6", healthy: true, lastUpdated: updated },
  ]);
});

Deno.test("a change that does not reach the node in time makes it unhealthy", async () => {
  const { clock, health: proxy } = health();
  proxy.updated();
  const updated = clock.now();
  await clock.advance(1000);
  proxy.queued();
  await clock.advance(50_000);
  proxy.queued();
  await clock.advance(9_999);
  assert.equal(proxy.report().healthy, true);
  await clock.advance(1);
  const report = proxy.report();
  assert.equal(report.healthy, false);
  assert.equal(report.lastUpdated, updated);
  assert.equal(report.currentTime, clock.now());
  proxy.updated();
  assert.equal(proxy.report().healthy, true);
});

Deno.test("a change that came during a sync still waits after it", async () => {
  const { clock, health: proxy } = health();
  proxy.updated();
  proxy.queued();
  await clock.advance(30_000);
  const second = clock.now();
  proxy.queued();
  await clock.advance(1000);
  proxy.updated(second);
  await clock.advance(58_999);
  assert.equal(proxy.report().healthy, true);
  await clock.advance(1);
  assert.equal(proxy.report().healthy, false);
});

Deno.test("a node that is to go takes no new connections", () => {
  const { health: proxy } = health();
  assert.equal(proxy.report().nodeEligible, true);
  const taints = [{ key: "ToBeDeletedByClusterAutoscaler", effect: "NoSchedule" }];
  proxy.nodeChanged(node({ spec: { taints } }));
  assert.equal(proxy.report().nodeEligible, false);
  proxy.nodeChanged(node({ spec: { taints: [{ key: "other" }] } }));
  assert.equal(proxy.report().nodeEligible, true);
  const metadata = { name: "node-a", deletionTimestamp: "2026-01-01T00:00:00Z" };
  proxy.nodeChanged(node({ metadata }));
  assert.equal(proxy.report().nodeEligible, false);
  assert.equal(proxy.report().healthy, true);
});
