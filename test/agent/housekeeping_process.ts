/** Fills memory, has it collected, and prints what was resident before and is behind it. */

import { processMemory } from "../../src/agent/housekeeping.ts";

const memory = processMemory()!;
let objects: unknown[] = [];
for (let i = 0; i < 1_000_000; i++) objects.push({ text: [i] });
const filled = memory.resident();
objects = [];
memory.collect();
// Pages may be given back by another thread.
for (let i = 0; i < 1200 && memory.resident() > filled / 2; i++) {
  await new Promise((resolve) => setTimeout(resolve, 50));
}
const collected = memory.resident();
// deno-lint-ignore no-console
console.log(JSON.stringify({ filled, collected, left: objects.length }));
