import assert from "node:assert/strict";
import { comparedRow, formatRows, median, plainRow } from "../../bench/report.ts";

Deno.test("median takes the middle, or the mean of the two in the middle", () => {
  assert.equal(median([3, 1, 2]), 2);
  assert.equal(median([4, 1, 3, 2]), 2.5);
  assert.throws(() => median([]), RangeError);
});

Deno.test("ratios are taken within rounds, so that a slow round does not count twice", () => {
  const row = comparedRow("x", "s", [10, 1, 10], "theirs", [10, 2, 5]);
  assert.equal(row.median, 10);
  assert.deepEqual(row.spread, [1, 10]);
  assert.equal(row.ratio, 1);
  assert.deepEqual(row.ratioSpread, [0.5, 2]);
});

Deno.test("rows are printed in columns", () => {
  const rows = [
    comparedRow("throughput", "Gbit/s", [10.25], "kernel", [20.5]),
    plainRow("rate", "1/s", [12345.6]),
  ];
  assert.equal(
    formatRows(rows),
    "throughput  10.25 Gbit/s  [10.25 … 10.25]  0.50 × kernel  [0.50 … 0.50]\n" +
      "rate        12346 1/s     [12346 … 12346]",
  );
  assert.equal(formatRows([]), "");
});

Deno.test("small ratios keep two digits", () => {
  const [line] = formatRows([comparedRow("x", "ms", [1], "theirs", [300])]).split("\n");
  assert.equal(line, "x  1 ms  [1 … 1]  0.0033 × theirs  [0.0033 … 0.0033]");
});
