import assert from "node:assert/strict";
import { summarise } from "./run.ts";

Deno.test("the summary counts what deno test reported", () => {
  const output = [
    "running 3 tests from ./test/x_test.ts",
    "a ... ok (1ms)",
    "b (skipped: needs root) ... ignored (0ms)",
    "c ... FAILED (2ms)",
    "",
    "FAILED | 1 passed (2 steps) | 1 failed | 1 ignored (12ms)",
  ].join("\n");
  assert.deepEqual(summarise(output), {
    passed: 1,
    failed: 1,
    skipped: ["b (skipped: needs root)"],
  });
  assert.deepEqual(summarise("ok | 12 passed | 0 failed (28ms)"), {
    passed: 12,
    failed: 0,
    skipped: [],
  });
});

Deno.test("output without a closing line is no summary", () => {
  assert.equal(summarise("error: Module not found"), null);
});
