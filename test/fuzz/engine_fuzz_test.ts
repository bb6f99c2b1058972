/** A fixed budget of fuzzing from fixed seeds; a failure names its seed. */

import assert from "node:assert/strict";
import { fuzz } from "./engine_fuzz.ts";

const RUNS = 40;
const STEPS = 500;

Deno.test(`the engine withstands ${RUNS * STEPS} fuzzed packets`, () => {
  for (let seed = 1; seed <= RUNS; seed++) fuzz(seed, STEPS);
});

Deno.test("the same seed, clock and packets give the same bytes", () => {
  for (const seed of [1, 2, 3]) assert.equal(fuzz(seed, 400), fuzz(seed, 400));
});
