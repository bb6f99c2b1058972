import assert from "node:assert/strict";
import { connectWorker } from "../../src/rpc/worker_rpc.ts";
import type { EchoMethods } from "./echo_worker.ts";

function start(wake?: () => void) {
  const worker = new Worker(new URL("./echo_worker.ts", import.meta.url), { type: "module" });
  return { worker, remote: connectWorker<EchoMethods>(worker, { wake }) };
}

Deno.test("calls are answered with values, each its own", async () => {
  let woken = 0;
  const { worker, remote } = start(() => woken++);
  const slow = remote.later("slow");
  assert.equal(await remote.add(1, 2), 3);
  const map = new Map([["a", Uint8Array.of(1, 2)]]);
  assert.deepEqual(await remote.map(map), map);
  assert.equal(await slow, "slow");
  assert.equal(woken, 3);
  worker.terminate();
});

Deno.test("a call that throws rejects with its message, and the worker goes on", async () => {
  const { worker, remote } = start();
  await assert.rejects(remote.fail(), /^Error: too far$/);
  assert.equal(await remote.add(2, 2), 4);
  worker.terminate();
});

Deno.test("a worker without such a method says so", async () => {
  const { worker, remote } = start();
  const other = remote as unknown as { toString2(): Promise<void>; constructor2(): Promise<void> };
  await assert.rejects(other.toString2(), /no method toString2 in this worker/);
  worker.terminate();
});

Deno.test("when the worker fails, open and later calls reject with the reason", async () => {
  const { remote } = start();
  const open = remote.never();
  await remote.crash();
  await assert.rejects(open, /worker failed: .*out of the blue/);
  await assert.rejects(remote.add(1, 1), /worker failed: .*out of the blue/);
});
