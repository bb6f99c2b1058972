import assert from "node:assert/strict";
import { plainRow } from "../../bench/report.ts";
import { charts } from "../../bench/schedulers/charts.ts";
import { disruptionRows } from "../../bench/schedulers/simulated.ts";
import { timeBeside } from "../../bench/schedulers/timing.ts";

Deno.test("charts have a line for each scheduler, of the rows that belong there", () => {
  const svg = charts([
    plainRow("pick/lc/10", "ns", [50]),
    plainRow("pick/lc/100", "ns", [100]),
    plainRow("pick/rr/10", "ns", [20]),
    plainRow("flat/rr/10000", "ns", [20]),
    plainRow("nodes/rr/1/variation", "cv", [0.1]),
    plainRow("nodes/rr/1/peak", "max/mean", [1.3]),
  ]);
  const lines = (file: string) =>
    [...svg[file].matchAll(/<polyline [^>]*points="([^"]*)"/g)].map(([, points]) =>
      points.split(" ").length
    );
  assert.deepEqual(lines("schedulers-picks.svg"), [2, 1]);
  assert.deepEqual(lines("schedulers-nodes.svg"), [1]);
});

Deno.test("what is timed beside each other is timed as often", () => {
  const times = timeBeside({ nothing: () => {}, little: () => void Math.random() }, 3, 1);
  assert.deepEqual(Object.keys(times), ["nothing", "little"]);
  assert.ok(Object.values(times).every((values) => values.length === 3));
});

Deno.test("disruption has rows for what events do, and none for what they don't", () => {
  const names = disruptionRows(1).map(({ name }) => name);
  assert.ok(names.includes("disruption/mh/leave/moved"));
  assert.ok(names.includes("disruption/lc/join/rush"));
  assert.ok(!names.includes("disruption/lc/leave/moved"));
  assert.ok(!names.includes("disruption/lc/drain/rush"));
});
