import assert from "node:assert/strict";
import { Backoff } from "../../../src/cluster/kubernetes/backoff.ts";
import type { Timing } from "../../../src/cluster/kubernetes/timing.ts";

function timingAt(random: number) {
  const timing = { time: 0, now: () => timing.time, after: () => () => {}, random: () => random };
  return timing satisfies Timing & { time: number };
}

Deno.test("Waits double up to 30 s, with up to as much again by chance", () => {
  const nominal = [800, 1600, 3200, 6400, 12_800, 25_600, 30_000, 30_000];
  for (const random of [0, 0.5]) {
    const backoff = new Backoff(timingAt(random));
    assert.deepEqual(nominal.map(() => backoff.next()), nominal.map((ms) => ms * (1 + random)));
  }
});

Deno.test("Two minutes without a failure are needed to begin anew", () => {
  const timing = timingAt(0);
  const backoff = new Backoff(timing);
  for (let i = 0; i < 5; i++) backoff.next();
  timing.time += 100_000;
  assert.equal(backoff.next(), 25_600);
  timing.time += 200_000;
  assert.equal(backoff.next(), 800);
});

Deno.test("A server may ask for more, within reason, but not for less", () => {
  const backoff = new Backoff(timingAt(0.5));
  assert.equal(backoff.next(10_000), 10_400);
  assert.equal(backoff.next(1), 2400);
  assert.equal(backoff.next(1e9), 300_400);
});
