import assert from "node:assert/strict";
import fc from "fast-check";
import { formatTable, wrap } from "../../src/lab/table.ts";

const HEADER = ["A", "LONGER", "TEXT"];
const ROWS = [
  ["first", "x", "one two three four five six seven eight nine"],
  ["first", "yy", "z"],
  ["b", "y", ""],
];

Deno.test("columns are as wide as their widest cell; the last one wraps", () => {
  assert.deepEqual(formatTable(HEADER, ROWS, 55), [
    "A      LONGER  TEXT",
    "first  x       one two three four five six seven eight",
    "               nine",
    "first  yy      z",
    "b      y",
  ]);
});

Deno.test("where it is narrow, the first column becomes headings", () => {
  assert.deepEqual(formatTable(HEADER, ROWS, 40), [
    "A",
    "  LONGER  TEXT",
    "first",
    "  x       one two three four five six",
    "          seven eight nine",
    "  yy      z",
    "b",
    "  y",
  ]);
});

Deno.test("where nobody knows how wide it is, as in some terminals, nothing is wrapped", () => {
  assert.deepEqual(formatTable(HEADER, ROWS, 0), formatTable(HEADER, ROWS, 1000));
});

Deno.test("property: wrapping loses no word and keeps to the width", () => {
  fc.assert(
    fc.property(
      fc.array(fc.stringMatching(/^[a-z]{1,12}$/), { minLength: 1, maxLength: 30 }),
      fc.integer({ min: 1, max: 40 }),
      (words, width) => {
        const lines = wrap(words.join(" "), width);
        assert.equal(lines.join(" "), words.join(" "));
        for (const line of lines) assert.ok(line.length <= width || !line.includes(" "));
      },
    ),
    { numRuns: 300 },
  );
});
