/** Simulations as a whole: what must hold for any, and what schedulers are known for. */

import fc from "fast-check";
import assert from "node:assert/strict";
import { SCHEDULER_NAMES } from "../../src/plan/scheduling.ts";
import { simulationOf, SimulationRequest } from "../../src/simulate/request.ts";
import { SAMPLES, simulate } from "../../src/simulate/simulate.ts";
import type { Outcome } from "../../src/simulate/outcome.ts";

function outcomesOf(request: object): Outcome[] {
  const { workload, schedulings } = simulationOf(SimulationRequest.parse(request));
  return schedulings.map((scheduling) => simulate(workload, scheduling));
}

const BACKENDS = 5;
const requests = fc.record({
  schedulers: fc.tuple(fc.constantFrom(...SCHEDULER_NAMES)),
  seed: fc.nat(),
  seconds: fc.constantFrom(0.5, 20),
  nodes: fc.integer({ min: 1, max: 4 }),
  lingerSeconds: fc.constantFrom(0, 3),
  arrivals: fc.record({
    process: fc.constantFrom("poisson", "regular", "bursts"),
    perSecond: fc.constantFrom(0.5, 30),
  }),
  durations: fc.record({
    distribution: fc.constantFrom("constant", "exponential", "lognormal", "pareto"),
    meanSeconds: fc.constantFrom(0.01, 2, 50),
  }),
  backends: fc.array(
    fc.record({ weight: fc.constantFrom(null, 0, 1, 1, 3) }),
    { minLength: BACKENDS, maxLength: BACKENDS },
  ),
  events: fc.array(
    fc.record({
      atSeconds: fc.constantFrom(0, 0.3, 5, 10, 10, 19, 100),
      backend: fc.nat(BACKENDS - 1),
      weight: fc.constantFrom(null, 0, 1, 2),
    }),
    { maxLength: 8 },
  ),
});

Deno.test("whatever is simulated, the figures agree with each other", () => {
  fc.assert(
    fc.property(requests, (request) => {
      const [outcome] = outcomesOf(request);
      const { arrived, refused, backends, samples, events } = outcome;
      assert.equal(samples.length, SAMPLES);
      const given = backends.reduce((sum, { connections }) => sum + connections, 0);
      assert.equal(given + refused, arrived);
      for (const { connections, peakOpen, meanOpen } of backends) {
        assert.ok(peakOpen <= connections && meanOpen <= peakOpen && meanOpen >= 0);
      }
      for (const { open, peak, least, variation } of samples) {
        assert.ok(open >= 0 && peak >= 1 - 1e-9 && least <= 1 + 1e-9 && variation >= 0);
      }
      const happened = request.events.filter(({ atSeconds }) => atSeconds <= request.seconds);
      assert.equal(events.length, happened.length);
      const last = new Map(
        happened.toSorted((a, b) => a.atSeconds - b.atSeconds).map((event) => [
          event.backend,
          event.weight,
        ]),
      );
      backends.forEach(({ weight }, i) =>
        assert.equal(weight, last.has(i) ? last.get(i) : request.backends[i].weight)
      );
      assert.deepEqual(outcomesOf(request), [outcome]);
    }),
    { numRuns: 150 },
  );
});

Deno.test("only the seed makes a difference", () => {
  const variation = (seed: number) => outcomesOf({ schedulers: ["random"], seed })[0].variation;
  assert.deepEqual(variation(3), variation(3));
  assert.notDeepEqual(variation(3), variation(4));
});

Deno.test("every scheduler sees the same connections arrive", () => {
  const outcomes = outcomesOf({ schedulers: ["rr", "lc", "mh", "random"] });
  assert.equal(new Set(outcomes.map(({ arrived }) => arrived)).size, 1);
});

Deno.test("lc rushes at a backend that joins, rr does not", () => {
  const [rr, lc] = outcomesOf({
    schedulers: ["rr", "lc"],
    events: [
      { atSeconds: 20, backend: 2, weight: null },
      { atSeconds: 40, backend: 2, weight: 1 },
    ],
  });
  assert.ok(rr.events[0].broken > 0 && rr.events[0].rush === null);
  assert.ok(rr.events[1].rush! < 2, String(rr.events[1].rush));
  assert.ok(lc.events[1].rush! > 5, String(lc.events[1].rush));
});

Deno.test("what is drained keeps its connections and gets no more", () => {
  const [outcome] = outcomesOf({
    schedulers: ["wlc"],
    durations: { distribution: "constant", meanSeconds: 5 },
    events: [{ atSeconds: 30, backend: 0, weight: 0 }],
  });
  const [drained, other] = outcome.backends;
  assert.equal(outcome.events[0].broken, 0);
  assert.ok(Math.abs(drained.connections / other.connections - 0.47) < 0.05);
});

Deno.test("mh moves few clients where sh moves most; others tie nobody", () => {
  const [mh, sh, rr] = outcomesOf({
    schedulers: ["mh", "sh", "rr"],
    backends: 50,
    events: [{ atSeconds: 30, backend: 7, weight: null }],
  }).map(({ events }) => events[0].moved);
  assert.ok(mh! < 0.05 && sh! > 0.5, `${mh} ${sh}`);
  assert.equal(rr, null);
});

Deno.test("rr is less even the more nodes there are: all begin at the same backend", () => {
  const [one, many] = [1, 200].map((nodes) =>
    outcomesOf({ schedulers: ["rr"], nodes, seconds: 5, clients: { count: 100_000 } })[0].given
  );
  assert.ok(one.variation < 0.01 && many.variation > 5 * one.variation + 0.02, `${many.variation}`);
});
