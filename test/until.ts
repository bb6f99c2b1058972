/**
 * Waiting for what must happen.
 *
 * @module
 */

import assert from "node:assert/strict";

/** Longer than anything takes that happens at all, on however busy a machine; milliseconds. */
export const PATIENCE_MS = 60_000;
const PAUSE_MS = 20;
const PIECE_MS = 10;

/** Resolves when a condition holds, which is looked at again and again; fails when it never does. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  what: string,
  patienceMs = PATIENCE_MS,
): Promise<void> {
  const end = performance.now() + patienceMs;
  while (!await condition()) {
    assert.ok(performance.now() < end, `not in ${patienceMs / 1000} s: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
  }
}

/**
 * Lets time pass, in pieces: however long the machine stands still in one of them, what else this
 * process has to do gets its turns in the others.
 */
export async function pass(ms: number): Promise<void> {
  for (let left = ms; left > 0; left -= PIECE_MS) {
    await new Promise((resolve) => setTimeout(resolve, Math.min(left, PIECE_MS)));
  }
}
