/** What the engine's benchmark says without measuring time. */

import assert from "node:assert/strict";
import { charts } from "../../bench/engine/charts.ts";
import { memoryRows } from "../../bench/engine/memory.ts";
import { comparedRow } from "../../bench/report.ts";
import { engineModule } from "../../src/engine/module.ts";

Deno.test("a connection takes 64 bytes at most, 128 in IPv6, both directions and index included", () => {
  const bytes = Object.fromEntries(
    memoryRows(engineModule()).map(({ name, median }) => [name, median]),
  );
  assert.deepEqual(Object.keys(bytes), ["memory/ipv4/connection", "memory/ipv6/connection"]);
  assert.ok(bytes["memory/ipv4/connection"] <= 64, `${bytes["memory/ipv4/connection"]}`);
  assert.ok(bytes["memory/ipv6/connection"] <= 128, `${bytes["memory/ipv6/connection"]}`);
});

Deno.test("the chart has the engine's line and the twin's", () => {
  const rows = [1000, 10_000].flatMap((size) => [
    comparedRow(`established/ipv4/${size}`, "ns", [60], "native", [40]),
    comparedRow(`established/ipv4/${size}`, "ns", [60], "typescript", [4000]),
    comparedRow(`noise/established/ipv4/${size}`, "ns", [40], "native", [40]),
  ]);
  const { "engine-packets.svg": svg } = charts(rows);
  assert.match(svg, />established, IPv4</);
  assert.match(svg, />established, IPv4, in C</);
  assert.doesNotMatch(svg, />UDP, IPv4</);
});
