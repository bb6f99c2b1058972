/** The engine's picks over large pools against a plain walk along the list. */

import fc from "fast-check";
import assert from "node:assert/strict";
import type { SchedulerName } from "../../src/plan/plan.ts";
import { NodeSchedulers } from "../../src/simulate/node_schedulers.ts";

type Step =
  | { readonly do: "open"; readonly count: number }
  | { readonly do: "close"; readonly which: number; readonly count: number }
  | { readonly do: "forget"; readonly which: number; readonly count: number }
  | { readonly do: "weigh"; readonly from: number; readonly weights: readonly (number | null)[] };

interface Load {
  weight: number | null;
  active: number;
  inactive: number;
}

const overhead = ({ active, inactive }: Load) => active * 257 + inactive;

/** What each scheduler finds less: cross products, as the kernel compares. */
const COSTS: Partial<Record<SchedulerName, (load: Load, weight: number) => [number, number]>> = {
  lc: (load) => [overhead(load), 1],
  wlc: (load, weight) => [overhead(load), weight],
  sed: ({ active }, weight) => [active + 1, weight],
  nq: ({ active }, weight) => [active === 0 ? 0 : active + 1, weight],
};

/** The list has the newest first; backends that stay keep their order. */
class Model {
  readonly loads: Load[];
  list: number[] = [];

  constructor(count: number) {
    this.loads = Array.from({ length: count }, () => ({ weight: null, active: 0, inactive: 0 }));
  }

  setWeights(weights: readonly (number | null)[]): void {
    const added = weights.flatMap((weight, backend) =>
      weight !== null && this.loads[backend].weight === null ? [backend] : []
    );
    weights.forEach((weight, backend) => this.loads[backend].weight = weight);
    this.list = [...added, ...this.list.filter((backend) => weights[backend] !== null)];
  }

  pick(scheduler: SchedulerName): number {
    const costOf = COSTS[scheduler]!;
    let found = -1;
    let least: [number, number] = [1, 0];
    for (const backend of this.list) {
      const load = this.loads[backend];
      if (load.weight === 0) continue;
      const cost = costOf(load, load.weight!);
      if (BigInt(cost[0]) * BigInt(least[1]) >= BigInt(least[0]) * BigInt(cost[1])) continue;
      least = cost;
      found = backend;
    }
    return found;
  }
}

function run(scheduler: SchedulerName, count: number, weights: number[], steps: Step[]): void {
  const endpoints = Array.from(
    { length: count },
    (_, i) => ({ address: `10.61.${i >> 8}.${i & 255}`, port: 8080 }),
  );
  const schedulers = new NodeSchedulers(endpoints, { scheduler, seed: 1n });
  const model = new Model(count);
  const current: (number | null)[] = endpoints.map((_, i) => weights[i % weights.length]);
  const weigh = () => {
    schedulers.setWeights(current);
    model.setWeights(current);
  };
  weigh();
  const active: number[] = [];
  const inactive: number[] = [];
  const take = (from: number[], which: number, count: number) =>
    from.splice(which % (from.length + 1), count);
  for (const step of steps) {
    if (step.do === "open") {
      for (let i = 0; i < step.count; i++) {
        const backend = schedulers.pick(0, i, 1024, 0);
        assert.equal(backend, model.pick(scheduler));
        if (backend < 0) continue;
        schedulers.opened(0, backend);
        model.loads[backend].active++;
        active.push(backend);
      }
    } else if (step.do === "close") {
      for (const backend of take(active, step.which, step.count)) {
        schedulers.closed(0, backend);
        model.loads[backend].active--;
        model.loads[backend].inactive++;
        inactive.push(backend);
      }
    } else if (step.do === "forget") {
      for (const backend of take(inactive, step.which, step.count)) {
        schedulers.forgotten(0, backend);
        model.loads[backend].inactive--;
      }
    } else {
      step.weights.forEach((weight, i) => current[(step.from + i) % count] = weight);
      weigh();
    }
  }
}

const which = fc.nat(100_000);
const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 4, arbitrary: fc.record({ do: fc.constant("open" as const), count: fc.nat(60) }) },
  {
    weight: 4,
    arbitrary: fc.oneof(
      fc.record({ do: fc.constant("close" as const), which, count: fc.nat(50) }),
      fc.record({ do: fc.constant("forget" as const), which, count: fc.nat(50) }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      do: fc.constant("weigh" as const),
      from: which,
      weights: fc.oneof(
        fc.array(fc.constantFrom(null, 0, 1), { maxLength: 40 }),
        fc.array(fc.constantFrom(null, 0, 1, 1, 2, 65535, 2 ** 31 - 1), { maxLength: 40 }),
      ),
    }),
  },
);

for (const scheduler of Object.keys(COSTS) as SchedulerName[]) {
  Deno.test(`${scheduler} finds in a large pool what a walk along the list finds`, () => {
    fc.assert(
      fc.property(
        fc.constantFrom(16, 17, 32, 255, 256, 257, 273, 4096, 4097, 5000),
        fc.oneof(
          fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 12 }),
          // All that take connections have the same weight.
          fc.constantFrom<number[]>([1], [3, 0, 3]),
        ),
        fc.array(step, { minLength: 5, maxLength: 40, size: "max" }),
        (count, weights, steps) => run(scheduler, count, weights, steps),
      ),
      { numRuns: 25 },
    );
  });
}

Deno.test("a pool that nobody takes connections in has no pick, until somebody does", () => {
  const endpoints = Array.from({ length: 40 }, (_, i) => ({ address: `fd00:61::${i}`, port: 80 }));
  for (const scheduler of ["lc", "wlc", "rr", "mh"] as const) {
    const schedulers = new NodeSchedulers(endpoints, { scheduler, seed: 1n, nodes: 2 });
    assert.equal(schedulers.pick(0, 1, 1024, 0), -1);
    schedulers.setWeights(endpoints.map(() => 0));
    assert.equal(schedulers.pick(1, 1, 1024, 0), -1);
    schedulers.setWeights(endpoints.map((_, i) => i === 33 ? 1 : null));
    assert.equal(schedulers.pick(0, 1, 1024, 0), 33);
    assert.equal(schedulers.pick(1, 2, 1025, 0), 33);
  }
});

Deno.test("nodes don't know of each other's connections", () => {
  const endpoints = ["10.61.0.1", "10.61.0.2"].map((address) => ({ address, port: 80 }));
  const schedulers = new NodeSchedulers(endpoints, { scheduler: "lc", seed: 1n, nodes: 2 });
  schedulers.setWeights([1, 1]);
  schedulers.opened(0, 0);
  assert.deepEqual([0, 1].map((node) => schedulers.pick(node, 0, 1024, 0)), [1, 0]);
});
