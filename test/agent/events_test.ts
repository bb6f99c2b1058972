import assert from "node:assert/strict";
import { eventsTo, observers } from "../../src/agent/events.ts";
import { EventHub, MOST_LISTED } from "../../src/api/events/hub.ts";
import type { PlanChange } from "../../src/plan/plan.ts";

const waiting = { services: 0, endpoints: 0 };
const nothing: PlanChange = { node: null, updated: [], removed: [] };

/** What a hub's clients are sent. */
function heard(hub: EventHub): string[] {
  const events: string[] = [];
  hub.listen(({ type, frame }) => {
    const data = /^data: (.*)$/m.exec(new TextDecoder().decode(frame))![1];
    const { time: _, ...rest } = JSON.parse(data);
    events.push(`${type} ${JSON.stringify(rest)}`);
  });
  return events;
}

Deno.test("syncs, changes and problems become events", () => {
  const hub = new EventHub();
  const events = heard(hub);
  const observer = observers({ queued() {}, synced() {} }, eventsTo(hub));
  const change = { ...nothing, removed: ["default/web"] };
  observer.synced({ durationMs: 3, ok: true, waiting, change, changes: [], error: null });
  observer.synced({ durationMs: 4, ok: true, waiting, change: nothing, changes: [], error: null });
  observer.synced({ durationMs: 5, ok: false, waiting, change, changes: [], error: "refused" });
  observer.problems?.([{ where: "a.yaml", message: "bad" }]);
  assert.deepEqual(events, [
    'change {"node":false,"updated":[],"updatedTotal":0,"removed":["default/web"],"removedTotal":1}',
    'sync {"ok":true,"durationMs":3,"error":null}',
    'sync {"ok":true,"durationMs":4,"error":null}',
    'sync {"ok":false,"durationMs":5,"error":"refused"}',
    'problems {"problems":["a.yaml: bad"],"total":1}',
  ]);
});

Deno.test("long lists are cut, and their length is told", () => {
  const hub = new EventHub();
  const events = heard(hub);
  const removed = Array.from({ length: 5000 }, (_, i) => `default/${i}`);
  const change = { ...nothing, removed };
  eventsTo(hub).synced({ durationMs: 1, ok: true, waiting, change, changes: [], error: null });
  const data = JSON.parse(events[0].slice("change ".length));
  assert.equal(data.removed.length, MOST_LISTED);
  assert.equal(data.removedTotal, 5000);
});
