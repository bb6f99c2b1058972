import assert from "node:assert/strict";
import { partsOf, summarise } from "./run.ts";

Deno.test("the summary counts what deno test reported", () => {
  const output = [
    "running 3 tests from ./test/x_test.ts",
    "a ... ok (1ms)",
    "b (skipped: needs root) ... ignored (0ms)",
    "c ... FAILED (2ms)",
    "",
    " ERRORS ",
    "",
    "c => ./test/x_test.ts:9:6",
    "error: Error",
    "",
    " FAILURES ",
    "",
    "c => ./test/x_test.ts:9:6",
    "",
    "FAILED | 1 passed (2 steps) | 1 failed | 1 ignored (12ms)",
  ].join("\n");
  assert.deepEqual(summarise(output), {
    passed: 1,
    failed: 1,
    failures: ["c => ./test/x_test.ts:9:6"],
    skipped: ["b (skipped: needs root)"],
  });
  assert.deepEqual(summarise("ok | 12 passed | 0 failed (28ms)"), {
    passed: 12,
    failed: 0,
    failures: [],
    skipped: [],
  });
});

Deno.test("output without a closing line is no summary", () => {
  assert.equal(summarise("error: Module not found"), null);
});

Deno.test("long parts come first, and every other file is with those of its folder", () => {
  const files = ["test/a/b/x_test.ts", "test/a/y_test.ts", "test/c/d/z_test.ts", "test/e_test.ts"];
  assert.deepEqual(partsOf(files, ["test/c/d/z_test.ts", "test/none/", "test/a/b/"]), [
    { name: "test/c/d/z_test.ts", files: ["test/c/d/z_test.ts"] },
    { name: "test/a/b/", files: ["test/a/b/x_test.ts"] },
    { name: "test/a/", files: ["test/a/y_test.ts"] },
    { name: "test/*", files: ["test/e_test.ts"] },
  ]);
});
