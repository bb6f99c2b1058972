/** Memory that is given back when there is nothing else to do. */

import assert from "node:assert/strict";
import { Housekeeping, type ProcessMemory, processMemory } from "../../src/agent/housekeeping.ts";
import { FakeClock } from "./fake_clock.ts";

const MIB = 2 ** 20;

/** A process of 100 MiB and what its work leaves. */
class FakeMemory implements ProcessMemory {
  mebibytes = 200;
  collections = 0;
  /** Time that passes meanwhile. */
  paused = 0;

  constructor(readonly pauseMs = 0) {}

  resident(): number {
    return this.mebibytes * MIB;
  }

  collect(): void {
    this.collections++;
    this.mebibytes = 100;
    this.paused += this.pauseMs;
  }
}

Deno.test("memory is given back when syncs have come to rest", async () => {
  const clock = new FakeClock();
  const memory = new FakeMemory();
  const housekeeping = new Housekeeping(memory, clock);
  for (let i = 0; i < 10; i++) {
    housekeeping.synced();
    await clock.advance(4000);
  }
  housekeeping.queued();
  await clock.advance(4000);
  assert.equal(memory.collections, 0);
  await clock.advance(1000);
  assert.equal(memory.collections, 1);
  assert.equal(clock.pendingTimers, 0);
});

Deno.test("what has not grown is left alone", async () => {
  const clock = new FakeClock();
  const memory = new FakeMemory();
  const housekeeping = new Housekeeping(memory, clock);
  const rest = async () => {
    housekeeping.synced();
    await clock.advance(10_000);
  };
  await rest();
  assert.equal(memory.collections, 1);
  memory.mebibytes = 125;
  await rest();
  assert.equal(memory.collections, 1);
  memory.mebibytes = 126;
  await rest();
  assert.equal(memory.collections, 2);
});

Deno.test("collecting takes a twentieth of the time at most", async () => {
  const clock = new FakeClock();
  const memory = new FakeMemory(1000);
  const housekeeping = new Housekeeping(memory, {
    now: () => clock.now() + memory.paused,
    after: (ms, callback) => clock.after(ms, callback),
  });
  for (let second = 0; second < 120; second += 6) {
    memory.mebibytes = 200;
    housekeeping.synced();
    await clock.advance(6000);
  }
  assert(memory.collections >= 4 && memory.collections <= 6, `${memory.collections} times`);
});

Deno.test("nothing is waited for behind the end", async () => {
  const clock = new FakeClock();
  const memory = new FakeMemory();
  const housekeeping = new Housekeeping(memory, clock);
  housekeeping.synced();
  housekeeping.stop();
  housekeeping.synced();
  assert.equal(clock.pendingTimers, 0);
  await clock.advance(10_000);
  assert.equal(memory.collections, 0);
});

Deno.test("a process gives back what it does not need", async () => {
  const command = new Deno.Command(Deno.execPath(), {
    args: [
      "run",
      "--no-check",
      "--allow-ffi",
      "--v8-flags=--expose-gc",
      new URL("./housekeeping_process.ts", import.meta.url).href,
    ],
    stderr: "inherit",
  });
  const { stdout } = await command.output();
  const { filled, collected } = JSON.parse(new TextDecoder().decode(stdout));
  assert(collected < filled - 50 * MIB, `${filled} → ${collected} bytes`);
  assert.equal(processMemory(), null);
});
