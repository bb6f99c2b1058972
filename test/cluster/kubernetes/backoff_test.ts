import assert from "node:assert/strict";
import { Backoff } from "../../../src/cluster/kubernetes/backoff.ts";
import type { Timing } from "../../../src/cluster/kubernetes/timing.ts";

function timingAt(random: number): Timing {
  return { now: () => 0, after: () => () => {}, random: () => random };
}

Deno.test("Waits double up to 15 s, with up to as much again by chance, until reset", () => {
  const nominal = [800, 1600, 3200, 6400, 12_800, 15_000, 15_000];
  for (const random of [0, 0.5]) {
    const backoff = new Backoff(timingAt(random));
    for (let round = 0; round < 2; round++) {
      assert.deepEqual(nominal.map(() => backoff.next()), nominal.map((ms) => ms * (1 + random)));
      backoff.reset();
    }
  }
});

Deno.test("A server may ask for more, within reason, but not for less", () => {
  const backoff = new Backoff(timingAt(0.5));
  assert.equal(backoff.next(10_000), 10_400);
  assert.equal(backoff.next(1), 2400);
  assert.equal(backoff.next(1e9), 300_400);
});
