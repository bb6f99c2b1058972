/** What becomes of schedulers' tables when there is no room, and of what they remember in time. */

import assert from "node:assert/strict";
import { Bench, type ServiceSpec } from "../../engine/harness.ts";
import { Rig } from "./rig.ts";

const BACKENDS = ["10.61.0.1:80", "10.61.0.2:80", "10.61.0.3:80"];

/** A Service of its own address. */
function service(number: number): ServiceSpec {
  return {
    name: `s${number}`,
    scheduler: "mh",
    address: `10.99.1.${number}`,
    backends: BACKENDS,
    local: BACKENDS,
    route: { action: "forward", to: "cluster", masquerade: false },
  };
}

/** Backends that one client's connections to a Service reach. */
function reached(bench: Bench, number: number): Set<string> {
  const routes = [1, 2, 3].map((i) =>
    bench.send({
      source: "10.50.0.2",
      sourcePort: 3000 + i,
      dest: `10.99.1.${number}`,
      port: 80,
    }).route
  );
  return new Set(routes.map((route) => route.slice(route.indexOf("> "))));
}

Deno.test("where there is no room for a table rr serves, until there is", () => {
  const numbers = Array.from({ length: 48 }, (_, i) => i + 1);
  const bench = new Bench(numbers.map(service), { servicePorts: 48, backends: 256 });
  const sizes = numbers.map((number) => reached(bench, number).size);
  assert.deepEqual([sizes[0], sizes[47]], [1, 3]);
  assert.deepEqual(new Set(sizes), new Set([1, 3]));
  bench.remove(...numbers.slice(0, 24).map((number) => `s${number}`));
  bench.update(service(48));
  assert.equal(reached(bench, 48).size, 3, "its old connections");
  bench.nowMs += 1_000_000;
  assert.equal(reached(bench, 48).size, 1);
});

Deno.test("lblc forgets a destination that nobody has asked for in a day", () => {
  for (const [hours, expected] of [[23, 1], [25, 2]]) {
    const rig = new Rig({ scheduler: "lblc" });
    rig.change(new Map([[1, 1]]));
    assert.equal(rig.open(rig.flow(2, 1000))?.server, 1);
    rig.change(new Map([[1, 1], [2, 1]]));
    rig.bench.nowMs += hours * 3_600_000;
    rig.wait();
    rig.bench.nowMs += 1000;
    assert.equal(rig.open(rig.flow(2, 1001))?.server, expected, `after ${hours} hours`);
  }
});

Deno.test("a pool of 5000 backends is scheduled like a small one", () => {
  for (const scheduler of ["wrr", "wlc", "mh", "sh", "random"] as const) {
    const rig = new Rig({ scheduler, backends: 5001 });
    const weights = new Map(Array.from({ length: 5000 }, (_, i) => [i + 1, 1 + i % 7]));
    rig.change(weights);
    const first = rig.open(rig.flow(2, 1000));
    assert.ok(first !== null, scheduler);
    weights.delete(first.server);
    rig.change(new Map(weights));
    const second = rig.open(rig.flow(2, 1001));
    assert.ok(second !== null && second.server !== first.server, scheduler);
  }
});
