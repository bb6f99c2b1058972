import assert from "node:assert/strict";
import { findDifferences } from "../../../src/dataplane/userspace/drift.ts";
import {
  type Capture,
  captureKey,
  type UserspaceRules,
} from "../../../src/dataplane/userspace/render.ts";

function rules(routes: Record<string, string | null>, ...captures: Capture[]): UserspaceRules {
  return {
    routes: new Map(Object.entries(routes)),
    captureSource: "192.0.2.1",
    captures: new Map(captures.map((capture) => [captureKey(capture), capture])),
  };
}

const http: Capture = { address: "192.0.2.1", protocol: "TCP", firstPort: 80, lastPort: 80 };
const dns: Capture = { address: "192.0.2.1", protocol: "UDP", firstPort: 53, lastPort: 53 };

Deno.test("routing as it should be has no differences", () => {
  const same = rules({ "10.0.0.1": null }, http);
  assert.deepEqual(findDifferences(same, rules({ "10.0.0.1": null }, http)), []);
});

Deno.test("every route and capture that is otherwise is told", () => {
  const node = rules({ "10.0.0.1": null, "10.0.0.2": "192.0.2.9" }, http);
  const desired = rules({ "10.0.0.2": "192.0.2.1", "10.0.0.3": "192.0.2.1" }, dns);
  assert.deepEqual(findDifferences(node, desired), [
    {
      where: "route 10.0.0.2",
      problem: "changed",
      found: ["route 10.0.0.2 source 192.0.2.9"],
      expected: ["route 10.0.0.2 source 192.0.2.1"],
    },
    {
      where: "route 10.0.0.3 source 192.0.2.1",
      problem: "missing",
      found: [],
      expected: ["route 10.0.0.3 source 192.0.2.1"],
    },
    {
      where: "capture UDP 192.0.2.1 53-53",
      problem: "missing",
      found: [],
      expected: ["capture UDP 192.0.2.1 53-53"],
    },
    {
      where: "route 10.0.0.1",
      problem: "unexpected",
      found: ["route 10.0.0.1"],
      expected: [],
    },
    {
      where: "capture TCP 192.0.2.1 80-80",
      problem: "unexpected",
      found: ["capture TCP 192.0.2.1 80-80"],
      expected: [],
    },
  ]);
});

Deno.test("another source of the node's own packets to captured ports is told", () => {
  const without = { ...rules({}), captureSource: null };
  const other = { ...rules({}), captureSource: "192.0.2.9" };
  const told = (node: UserspaceRules, desired: UserspaceRules) =>
    findDifferences(node, desired).map(({ where, problem, found, expected }) =>
      [where, problem, ...found, ...expected].join(", ")
    );
  assert.deepEqual(told(without, rules({})), ["captures, missing, captures source 192.0.2.1"]);
  assert.deepEqual(told(rules({}), without), ["captures, unexpected, captures source 192.0.2.1"]);
  assert.deepEqual(
    told(other, rules({})),
    ["captures, changed, captures source 192.0.2.9, captures source 192.0.2.1"],
  );
});
