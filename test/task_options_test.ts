/** Options of tasks: what is wrong is said in one line, and nothing runs. */

import assert from "node:assert/strict";
import { lengthOf, OptionError, seedOf, taskOptions } from "./task_options.ts";

Deno.test("options stand over their defaults", () => {
  const defaults = { seconds: "30", seed: "7" };
  assert.deepEqual({ ...taskOptions(defaults, ["--seconds", "5"]) }, { seconds: "5", seed: "7" });
  assert.equal(lengthOf("seconds", "0.5"), 0.5);
  assert.equal(seedOf("0"), 0);
});

Deno.test("an option that is wrong is refused in one line", () => {
  const wrong: (() => unknown)[] = [
    () => taskOptions({ seed: "1" }, ["--bogus"]),
    () => taskOptions({ seed: "1" }, ["more"]),
    () => taskOptions({ seed: "1" }, ["--seed"]),
    ...["x", "", "0", "-1", "Infinity"].map((text) => () => lengthOf("seconds", text)),
    ...["x", "", "-1", "1.5"].map((text) => () => seedOf(text)),
  ];
  for (const refused of wrong) {
    assert.throws(
      refused,
      (error) => error instanceof OptionError && !error.message.includes("\n"),
    );
  }
});
