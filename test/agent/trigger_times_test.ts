import assert from "node:assert/strict";
import { TriggerTimes } from "../../src/agent/trigger_times.ts";
import type { EndpointSlice } from "../../src/cluster/objects.ts";
import type { ClusterChange } from "../../src/cluster/source.ts";

const START = Date.parse("2026-01-01T00:00:00Z");

function change(
  action: ClusterChange["action"],
  name: string,
  time?: string,
  addressType: EndpointSlice["addressType"] = "IPv4",
): ClusterChange {
  const annotations = time === undefined
    ? undefined
    : { "endpoints.kubernetes.io/last-change-trigger-time": time };
  return {
    action,
    object: {
      kind: "EndpointSlice",
      metadata: { name, namespace: "ns", annotations },
      addressType,
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
  assert.deepEqual(times.take().map(({ time }) => time - START), [1500, 2123, 3000]);
  assert.deepEqual(times.take(), []);
});

Deno.test("changes of a slice that is gone do not count", () => {
  const times = new TriggerTimes(START);
  times.note(change("apply", "a", "2026-01-01T00:00:01Z"));
  times.note(change("delete", "a", "2026-01-01T00:00:01Z"));
  times.note(change("apply", "a", "2026-01-01T00:00:02Z"));
  assert.deepEqual(times.take().map(({ time }) => time - START), [2000]);
});

Deno.test("a change is one of its slice's family", () => {
  const times = new TriggerTimes(START);
  const at = "2026-01-01T00:00:01Z";
  for (const type of ["IPv4", "IPv6", "FQDN"] as const) times.note(change("apply", type, at, type));
  assert.deepEqual(times.take().map(({ family }) => family), ["IPv4", "IPv6"]);
});
