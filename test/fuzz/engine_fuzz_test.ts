/** A fixed budget of fuzzing, from other seeds each day; a failure names its seed. */

import assert from "node:assert/strict";
import { fuzz } from "./engine_fuzz.ts";

const RUNS = 40;
const STEPS = 500;
const base = Math.floor(Date.now() / 86_400_000);

Deno.test(`the engine withstands ${RUNS * STEPS} fuzzed packets (seeds from ${base})`, () => {
  for (let i = 0; i < RUNS; i++) fuzz(base + i, STEPS);
});

Deno.test("the same seed, clock and packets give the same bytes", () => {
  for (const seed of [1, 2, 3]) assert.equal(fuzz(seed, 400), fuzz(seed, 400));
});
