import assert from "node:assert/strict";
import { TriggerTimes } from "../../src/agent/trigger_times.ts";
import type { ClusterChange } from "../../src/cluster/source.ts";

const START = Date.parse("2026-01-01T00:00:00Z");

function change(action: ClusterChange["action"], name: string, time?: string): ClusterChange {
  const annotations = time === undefined
    ? undefined
    : { "endpoints.kubernetes.io/last-change-trigger-time": time };
  return {
    action,
    object: {
      kind: "EndpointSlice",
      metadata: { name, namespace: "ns", annotations },
      addressType: "IPv4",
      endpoints: [],
      ports: [],
    },
  };
}

Deno.test("times of changes since the start are kept until they are taken", () => {
  const times = new TriggerTimes(START);
  times.note(change("apply", "a", "2026-01-01T00:00:01.5Z"));
  times.note(change("apply", "a", "2026-01-01T00:00:02.123456789Z"));
  times.note(change("apply", "b", "2025-12-31T23:59:59Z"));
  times.note(change("apply", "c", "yesterday"));
  times.note(change("apply", "d"));
  times.note(change("apply", "e", "2026-01-01T01:00:03+01:00"));
  assert.deepEqual(times.take().map((time) => time - START), [1500, 2123, 3000]);
  assert.deepEqual(times.take(), []);
});

Deno.test("changes of a slice that is gone do not count", () => {
  const times = new TriggerTimes(START);
  times.note(change("apply", "a", "2026-01-01T00:00:01Z"));
  times.note(change("delete", "a", "2026-01-01T00:00:01Z"));
  times.note(change("apply", "a", "2026-01-01T00:00:02Z"));
  assert.deepEqual(times.take().map((time) => time - START), [2000]);
});
