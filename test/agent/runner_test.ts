import assert from "node:assert/strict";
import fc from "fast-check";
import { BoundedFrequencyRunner } from "../../src/agent/runner.ts";
import { FakeClock, settle } from "./fake_clock.ts";

interface Bench {
  readonly clock: FakeClock;
  readonly runner: BoundedFrequencyRunner;
  /** Start and end of each run, relative to the beginning. */
  readonly runs: { start: number; end: number | null }[];
  readonly errors: unknown[];
}

function bench(run: { durationMs?: number; fails?: (nth: number) => boolean } = {}): Bench {
  const clock = new FakeClock();
  const zero = clock.now();
  const runs: Bench["runs"] = [];
  const errors: unknown[] = [];
  const runner = new BoundedFrequencyRunner(async () => {
    const entry: Bench["runs"][number] = { start: clock.now() - zero, end: null };
    const nth = runs.push(entry);
    if (run.durationMs) {
      await new Promise<void>((resolve) => clock.after(run.durationMs!, resolve));
    }
    entry.end = clock.now() - zero;
    if (run.fails?.(nth)) throw new Error(`run ${nth}`);
  }, {
    minIntervalMs: 1000,
    retryIntervalMs: 30_000,
    maxIntervalMs: 3_600_000,
    clock,
    onError: (error) => errors.push(error),
  });
  return { clock, runner, runs, errors };
}

const starts = (runs: Bench["runs"]) => runs.map((run) => run.start);

Deno.test("requests before the start are dropped", async () => {
  const { clock, runner, runs } = bench();
  runner.request();
  runner.start();
  await clock.advance(10_000);
  assert.deepEqual(starts(runs), []);
  runner.request();
  await settle();
  assert.deepEqual(starts(runs), [10_000]);
});

Deno.test("a burst makes one run at once and one after the interval", async () => {
  const { clock, runner, runs } = bench();
  runner.start();
  for (let i = 0; i < 10; i++) {
    runner.request();
    await clock.advance(50);
  }
  await clock.advance(5000);
  assert.deepEqual(starts(runs), [0, 1000]);
});

Deno.test("the interval counts from the start of a run; after a long one there is a rest", async () => {
  const runsOf = async (durationMs: number) => {
    const { clock, runner, runs } = bench({ durationMs });
    runner.start();
    runner.request();
    await clock.advance(100);
    runner.request();
    runner.request();
    await clock.advance(40_000);
    return runs;
  };
  assert.deepEqual(await runsOf(600), [{ start: 0, end: 600 }, { start: 1000, end: 1600 }]);
  assert.deepEqual(await runsOf(5000), [{ start: 0, end: 5000 }, { start: 5500, end: 10_500 }]);
  assert.deepEqual(await runsOf(15_000), [{ start: 0, end: 15_000 }, {
    start: 16_000,
    end: 31_000,
  }]);
});

Deno.test("a failed run is tried again", async () => {
  const { clock, runner, runs, errors } = bench({ fails: (nth) => nth <= 2 });
  runner.start();
  runner.request();
  await clock.advance(200_000);
  assert.deepEqual(starts(runs), [0, 30_000, 60_000]);
  assert.equal(errors.length, 2);
});

Deno.test("a request after a failure does not wait for the retry, and replaces it", async () => {
  const { clock, runner, runs } = bench({ fails: (nth) => nth === 1 });
  runner.start();
  runner.request();
  await clock.advance(500);
  runner.request();
  await clock.advance(100_000);
  assert.deepEqual(starts(runs), [0, 1000]);
});

Deno.test("a run is forced when none was asked for", async () => {
  const { clock, runner, runs } = bench();
  runner.start();
  runner.request();
  await clock.advance(2 * 3_600_000 + 1);
  assert.deepEqual(starts(runs), [0, 3_600_000, 7_200_000]);
});

Deno.test("stopping waits for the run that is under way, and leaves no timer", async () => {
  const { clock, runner, runs } = bench({ durationMs: 5000 });
  runner.start();
  runner.request();
  await clock.advance(100);
  runner.request();
  let stopped = false;
  const stop = runner.stop().then(() => stopped = true);
  await clock.advance(1000);
  assert.equal(stopped, false);
  await clock.advance(4000);
  await stop;
  runner.request();
  await clock.advance(100_000);
  assert.equal(runs.length, 1);
  assert.equal(clock.pendingTimers, 0);
});

Deno.test("runs never overlap, keep the interval, and the last request is honoured", async () => {
  const gap = fc.integer({ min: 0, max: 3000 });
  await fc.assert(
    fc.asyncProperty(
      fc.array(gap, { minLength: 1, maxLength: 15 }),
      fc.integer({ min: 0, max: 2500 }),
      async (gaps, durationMs) => {
        const { clock, runner, runs } = bench({ durationMs });
        runner.start();
        let now = 0;
        for (const wait of gaps) {
          await clock.advance(wait);
          now += wait;
          runner.request();
        }
        await clock.advance(10_000);
        for (let i = 1; i < runs.length; i++) {
          assert.ok(runs[i].start >= runs[i - 1].start + 1000);
          assert.ok(runs[i].start >= runs[i - 1].end! + durationMs / 10);
        }
        assert.ok(runs.at(-1)!.start >= now);
        assert.ok(runs.at(-1)!.start <= now + Math.max(1.1 * durationMs + 1, 1000));
      },
    ),
    { numRuns: 30 },
  );
});
