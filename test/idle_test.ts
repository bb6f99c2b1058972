import assert from "node:assert/strict";
import { IdleWatch } from "../src/idle.ts";

/** Timers run in the order in which they are due, so that waiting does not depend on the machine. */
function pass(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

Deno.test("what is not used any more is noticed once, and again after another use", async () => {
  let idle = 0;
  const watch = new IdleWatch(10, () => idle++);
  await pass(11);
  assert.equal(idle, 0);
  watch.use();
  await pass(11);
  assert.equal(idle, 1);
  await pass(11);
  assert.equal(idle, 1);
  watch.use();
  watch.use();
  await pass(11);
  await pass(11);
  assert.equal(idle, 2);
});

Deno.test("what is used meanwhile is watched for as long again", async () => {
  let idle = 0;
  const watch = new IdleWatch(10, () => idle++);
  watch.use();
  setTimeout(() => {
    watch.use();
    assert.equal(idle, 0);
  }, 9);
  await pass(10);
  assert.equal(idle, 0);
  await pass(11);
  assert.equal(idle, 1);
});
