/**
 * Waiting for what must happen.
 *
 * @module
 */

import assert from "node:assert/strict";

/** Longer than anything takes that happens at all, on however busy a machine; milliseconds. */
export const PATIENCE_MS = 60_000;
const PAUSE_MS = 20;

/** Resolves when a condition holds, which is looked at again and again; fails when it never does. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!await condition()) {
    assert.ok(performance.now() < end, `not in ${PATIENCE_MS / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}
