/** What simulations are made of: random variates, the queue of ends, the spread. */

import fc from "fast-check";
import assert from "node:assert/strict";
import { EndQueue } from "../../src/simulate/end_queue.ts";
import { clients, durations, gaps, seedFor, uniform } from "../../src/simulate/random.ts";
import { spreadOf } from "../../src/simulate/spread.ts";

const COUNT = 200_000;

function meanOf(variate: () => number): number {
  let sum = 0;
  for (let i = 0; i < COUNT; i++) sum += variate();
  return sum / COUNT;
}

function assertNear(actual: number, expected: number, part: number): void {
  assert.ok(Math.abs(actual - expected) <= expected * part, `${actual}, expected ${expected}`);
}

Deno.test("connections arrive as often as asked, whatever the process", () => {
  for (const process of ["poisson", "regular", "bursts"] as const) {
    const gap = gaps({ process, perSecond: 250, burst: 20 }, uniform(1));
    assertNear(meanOf(gap), 1 / 250, 0.05);
  }
});

Deno.test("bursts arrive at once", () => {
  const gap = gaps({ process: "bursts", perSecond: 100, burst: 5 }, uniform(1));
  const isZero = Array.from({ length: 20 }, () => gap() === 0);
  assert.deepEqual(isZero, Array.from({ length: 20 }, (_, i) => i % 5 !== 0));
});

Deno.test("durations have the mean that was asked for, and their own tails", () => {
  const longest = new Map<string, number>();
  for (const distribution of ["constant", "exponential", "lognormal", "pareto"] as const) {
    const shape = distribution === "pareto" ? 2.5 : 1;
    const next = durations({ distribution, meanSeconds: 3, shape }, uniform(2));
    let most = 0;
    const mean = meanOf(() => {
      const value = next();
      most = Math.max(most, value);
      return value;
    });
    assertNear(mean, 3, 0.03);
    longest.set(distribution, most);
  }
  assert.equal(longest.get("constant"), 3);
  assert.ok(longest.get("pareto")! > longest.get("exponential")!);
});

Deno.test("clients come as often as their rank says", () => {
  const counts = { uniform: new Float64Array(10), zipf: new Float64Array(10) };
  for (const distribution of ["uniform", "zipf"] as const) {
    const next = clients({ count: 10, distribution, exponent: 1 }, uniform(3));
    for (let i = 0; i < COUNT; i++) counts[distribution][next()]++;
  }
  for (const count of counts.uniform) assertNear(count, COUNT / 10, 0.05);
  assertNear(counts.zipf[0] / counts.zipf[4], 5, 0.06);
});

Deno.test("each purpose has numbers of its own, the same each time", () => {
  const first = (seed: number, purpose: number) => uniform(seedFor(seed, purpose))();
  const all = [0, 1, 2].flatMap((seed) => [0, 1, 2, 3].map((purpose) => first(seed, purpose)));
  assert.equal(new Set(all).size, all.length);
  assert.equal(first(7, 1), first(7, 1));
});

Deno.test("ends come by time, and in turn when their times are equal", () => {
  const step = fc.oneof(
    { weight: 3, arbitrary: fc.nat(8) },
    { weight: 2, arbitrary: fc.constant(null) },
  );
  fc.assert(fc.property(fc.array(step, { maxLength: 200 }), (steps) => {
    const queue = new EndQueue();
    const model: [time: number, value: number][] = [];
    for (const [value, time] of steps.entries()) {
      if (time !== null) {
        queue.push(time, value);
        model.push([time, value]);
        model.sort(([a, first], [b, second]) => a - b || first - second);
      } else if (model.length > 0) {
        assert.equal(queue.pop(), model.shift()![1]);
      }
      assert.equal(queue.size, model.length);
      assert.equal(queue.nextTime, model[0]?.[0] ?? Infinity);
    }
  }));
});

Deno.test("the spread goes by weight, and leaves out who takes nothing", () => {
  assert.deepEqual(spreadOf([10, 20, 99, 99], [1, 2, 0, null]), {
    peak: 1,
    least: 1,
    variation: 0,
  });
  assert.deepEqual(spreadOf([3, 1], [1, 1]), { peak: 1.5, least: 0.5, variation: 0.5 });
  assert.deepEqual(spreadOf([0, 0], [1, 1]), { peak: 1, least: 1, variation: 0 });
});
