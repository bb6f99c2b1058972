/** Session affinity. */

import assert from "node:assert/strict";
import { Counter } from "../../src/engine/abi.ts";
import { Bench, type ServiceSpec } from "./harness.ts";

const BACKENDS = ["10.60.0.2:80", "10.60.0.3:80", "10.60.0.4:80"];
const SERVICE: ServiceSpec = { backends: BACKENDS, affinitySeconds: 100 };

let nextPort = 1024;

/** The backend that a new connection of a client gets. */
function dial(bench: Bench, source = "10.50.0.2", dest = "10.99.9.9", port = 80): string {
  const sent = bench.send({ source, sourcePort: nextPort++, dest, port });
  return sent.route.split(" > ")[1];
}

Deno.test("a client stays with its backend, another gets its own", () => {
  const bench = new Bench([SERVICE]);
  const first = Array.from({ length: 5 }, () => dial(bench));
  assert.deepEqual(new Set(first), new Set([BACKENDS[0]]));
  const second = Array.from({ length: 5 }, () => dial(bench, "10.50.0.3"));
  assert.deepEqual(new Set(second), new Set([BACKENDS[1]]));
});

Deno.test("each new connection prolongs it; then it runs out", () => {
  const bench = new Bench([SERVICE]);
  assert.equal(dial(bench), BACKENDS[0]);
  bench.nowMs += 99_999;
  assert.equal(dial(bench), BACKENDS[0]);
  bench.nowMs += 99_999;
  assert.equal(dial(bench), BACKENDS[0]);
  bench.nowMs += 100_000;
  assert.equal(dial(bench), BACKENDS[1]);
});

Deno.test("it leaves with its endpoint, and survives other changes", () => {
  const bench = new Bench([SERVICE]);
  dial(bench, "10.50.0.2");
  dial(bench, "10.50.0.3");
  bench.update({ ...SERVICE, backends: [BACKENDS[1], BACKENDS[2], "10.60.0.5:80"] });
  assert.equal(dial(bench, "10.50.0.3"), BACKENDS[1]);
  assert.equal(dial(bench, "10.50.0.2"), BACKENDS[2]);
  assert.equal(dial(bench, "10.50.0.2"), BACKENDS[2]);
  bench.update(SERVICE);
  assert.equal(dial(bench, "10.50.0.3"), BACKENDS[1]);
});

Deno.test("a backend of weight 0 keeps no client", () => {
  const bench = new Bench([SERVICE]);
  assert.equal(dial(bench), BACKENDS[0]);
  bench.update({ ...SERVICE, backends: [`${BACKENDS[0]}*0`, BACKENDS[1], BACKENDS[2]] });
  assert.equal(dial(bench), BACKENDS[1]);
  assert.equal(dial(bench), BACKENDS[1]);
});

Deno.test("frontends of one port share it, Services don't", () => {
  const bench = new Bench([
    {
      ...SERVICE,
      frontends: [{ address: "10.99.0.1", port: 80 }, { address: "10.99.0.2", port: 8080 }],
    },
    { ...SERVICE, name: "other", address: "10.99.0.3" },
  ]);
  assert.equal(dial(bench, "10.50.0.2", "10.99.0.1", 80), BACKENDS[0]);
  dial(bench, "10.50.0.3", "10.99.0.1", 80);
  assert.equal(dial(bench, "10.50.0.2", "10.99.0.2", 8080), BACKENDS[0]);
  assert.equal(dial(bench, "10.50.0.3", "10.99.0.3", 80), BACKENDS[0]);
});

Deno.test("switched off, connections spread again", () => {
  const bench = new Bench([SERVICE]);
  dial(bench);
  bench.update({ backends: BACKENDS });
  assert.deepEqual(
    [dial(bench), dial(bench), dial(bench)],
    [BACKENDS[1], BACKENDS[2], BACKENDS[0]],
  );
});

Deno.test("a full table forgets clients and says so", () => {
  const bench = new Bench([SERVICE], { affinities: 8 });
  for (let i = 1; i <= 20; i++) dial(bench, `10.50.1.${i}`);
  assert.equal(bench.engine.total(Counter.AffinityEvicted), 12);
  bench.nowMs += 200_000;
  bench.engine.expire(bench.nowMs, 100);
  for (let i = 1; i <= 8; i++) dial(bench, `10.50.2.${i}`);
  assert.equal(bench.engine.total(Counter.AffinityEvicted), 12);
});
