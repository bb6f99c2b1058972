import assert from "node:assert/strict";
import fc from "fast-check";
import { formatGoDuration, parseGoDuration } from "../../src/config/go_duration.ts";

Deno.test("durations are printed as Go does", () => {
  const printed: [ms: number, text: string][] = [
    [0, "0s"],
    [1, "1ms"],
    [1500, "1.5s"],
    [30_000, "30s"],
    [900_000, "15m0s"],
    [86_400_000, "24h0m0s"],
    [3_661_001, "1h1m1.001s"],
    [-1000, "-1s"],
    [0.25, "250µs"],
    [0.000001, "1ns"],
  ];
  for (const [ms, text] of printed) assert.equal(formatGoDuration(ms), text);
});

Deno.test("every duration of whole microseconds is read as it was printed", () => {
  const microseconds = fc.integer({ min: -1e12, max: 1e12 });
  fc.assert(fc.property(microseconds, (amount) => {
    const read = parseGoDuration(formatGoDuration(amount / 1000))!;
    assert.ok(Math.abs(read - amount / 1000) < 1e-6, `${amount} µs: ${read} ms`);
  }));
});

Deno.test("what Go does not take is no duration", () => {
  for (
    const text of ["", "-", "5", "s", "1 s", "1d", ".s", "1s2", "--1s", "1e3s", "NaNs", "1..5s"]
  ) {
    assert.equal(parseGoDuration(text), null, text);
  }
  for (const [text, ms] of [["0", 0], ["-0", 0], ["+5s", 5000], [".5s", 500], ["1.s", 1000]]) {
    assert.equal(parseGoDuration(text as string), ms, text as string);
  }
});
