import assert from "node:assert/strict";
import fc from "fast-check";
import { coveringRanges } from "../../../src/dataplane/userspace/node_ports.ts";

const text = (ports: number[], leftOut: number[], most: number) =>
  coveringRanges(new Set(ports), new Set(leftOut), most)
    .map(({ first, last }) => `${first}-${last}`).join(" ");

Deno.test("runs of ports, and the narrowest gaps where there are too many", () => {
  assert.equal(text([], [], 4), "");
  assert.equal(text([5], [], 4), "5-5");
  assert.equal(text([7, 5, 6, 9], [], 4), "5-7 9-9");
  assert.equal(text([1, 10, 12, 20], [], 2), "1-1 10-20");
  assert.equal(text([1, 10, 12, 20], [11], 2), "1-10 12-20");
  assert.equal(text([1, 10, 12, 20], [5, 11, 15], 2), "1-1 10-10 12-12 20-20");
  assert.equal(text([1, 2, 3], [2], 1), "1-3");
});

Deno.test("ranges ascend, have every port, and none that is left out", () => {
  const ports = fc.uniqueArray(fc.integer({ min: 1, max: 60 }));
  fc.assert(fc.property(ports, ports, fc.integer({ min: 1, max: 10 }), (own, others, most) => {
    const ranges = coveringRanges(new Set(own), new Set(others), most);
    const covered = ranges.flatMap(({ first, last }) =>
      Array.from({ length: last - first + 1 }, (_, i) => first + i)
    );
    assert.deepEqual(covered, [...new Set(covered)].sort((a, b) => a - b));
    const all = new Set(covered);
    assert.deepEqual(own.filter((port) => !all.has(port)), []);
    assert.deepEqual(others.filter((port) => all.has(port) && !own.includes(port)), []);
    if (others.length === 0) assert.ok(ranges.length <= most);
    // Nothing is taken along without need.
    if (ranges.length < most) assert.equal(covered.length, own.length);
  }));
});
