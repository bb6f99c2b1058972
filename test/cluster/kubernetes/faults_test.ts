/** Each misbehaviour of an API server on its own, and what it must and must not lead to. */

import assert from "node:assert/strict";
import { ApiClient } from "../../../src/cluster/kubernetes/api_client.ts";
import { ApiDouble, type Fault } from "./api_double.ts";
import { fastTiming, rawService, rawSlice, RunningSource } from "./helpers.ts";

/** A source that knows the state of a server with two objects. */
async function following(api: ApiDouble): Promise<RunningSource> {
  api.put(rawService("s0"), rawSlice("e0", ["10.0.0.1"]));
  const running = await RunningSource.on(api);
  await running.converged(api);
  await running.until(() => api.openWatches === 2, "two watches");
  return running;
}

function count(api: ApiDouble, request: string): number {
  return api.requests.filter((one) => one === request).length;
}

Deno.test("What was deleted while the API was away is told when it is back", async () => {
  await using api = new ApiDouble();
  await using running = await following(api);
  await api.stop();
  api.remove("Service", "default/s0");
  api.put(rawService("s1"), rawSlice("e0", ["10.0.0.2"]));
  api.compact();
  await running.until(() => running.problems.length === 2);
  for (const problem of running.problems) {
    assert.match(problem, /: cannot watch, trying again: .*refused/, problem);
  }
  assert.deepEqual(running.batches.length, 1);
  api.start();
  await running.converged(api);
  await running.until(() => running.problems.length === 0);
  assert.deepEqual(running.batches.flat().slice(2).toSorted(), [
    "apply EndpointSlice default/e0 105",
    "apply Service default/s1 104",
    "delete Service default/s0 101",
  ]);
});

Deno.test("A watch that breaks goes on where it was, without a list", async () => {
  await using api = new ApiDouble();
  await using running = await following(api);
  for (let i = 0; i < 5; i++) {
    api.put(rawService(`s${i}`));
    await running.converged(api);
    if (i % 2 === 0) api.breakWatches();
    else api.endWatches();
    api.put(rawService("s9"));
    await running.converged(api);
    // Longer than what counts as a failure: 5 s, a hundred times as fast.
    await new Promise((resolve) => setTimeout(resolve, 80));
  }
  assert.equal(count(api, "list Service"), 1);
  assert.deepEqual(running.problems, []);
});

Deno.test("A bookmark moves the watch on, so that compaction costs nothing", async () => {
  await using api = new ApiDouble({ bookmarkMs: 10 });
  await using running = await following(api);
  for (let i = 0; i < 5; i++) api.put(rawSlice("e0", [`10.0.1.${i + 1}`]));
  await running.converged(api);
  const version = api.collection("EndpointSlice").objects[0].metadata.resourceVersion!;
  await new Promise((resolve) => setTimeout(resolve, 30));
  api.compact();
  api.endWatches();
  await running.until(() => count(api, "watch Service") === 2, "a second watch");
  const last = api.requests.lastIndexOf("watch Service");
  assert.equal(api.queries[last].get("resourceVersion"), version);
  api.put(rawService("s1"));
  await running.converged(api);
  assert.equal(count(api, "list Service"), 1);
});

const expired = '{"type":"ERROR","object":{"kind":"Status","code":410,"reason":"Gone"}}';
const gone: readonly [string, Fault][] = [
  ["as an answer", { kind: "status", status: 410 }],
  ["as an event", { kind: "line", text: expired }],
];
for (const [how, fault] of gone) {
  Deno.test(`A watch that is too old, ${how}, is begun again by a list, without repetition`, async () => {
    await using api = new ApiDouble();
    await using running = await following(api);
    const batches = running.batches.length;
    api.faults.push({ on: "watch", of: "Service", fault });
    api.endWatches();
    await running.until(() => count(api, "list Service") === 2, "a second list");
    const query = api.queries[api.requests.lastIndexOf("list Service")];
    assert.equal(query.get("resourceVersion"), "102");
    assert.equal(query.get("resourceVersionMatch"), "NotOlderThan");
    await running.until(() => api.openWatches === 2, "two watches");
    assert.equal(running.batches.length, batches);
    api.remove("Service", "default/s0");
    await running.converged(api);
    assert.deepEqual(running.problems, []);
  });
}

Deno.test("A list that expires between its pages is begun again, in the end without pages", async () => {
  await using api = new ApiDouble();
  for (let i = 0; i < 9; i++) api.put(rawService(`s${i}`));
  for (let i = 0; i < 2; i++) {
    api.faults.push({ on: "page", of: "Service", fault: { kind: "status", status: 410 } });
  }
  await using running = await RunningSource.on(api);
  await running.converged(api);
  const lists = api.queries.filter((_, i) => api.requests[i] === "list Service");
  assert.deepEqual(lists.map((query) => [query.get("limit"), query.get("resourceVersion")]), [
    ["3", "0"],
    ["3", null],
    [null, null],
  ]);
});

Deno.test("A server that went back in time is believed", async () => {
  let port: number;
  {
    await using former = new ApiDouble();
    port = Number(new URL(former.url).port);
  }
  await using client = await openClient(`http://127.0.0.1:${port}`);
  const api = new ApiDouble({ port });
  for (let i = 0; i < 20; i++) api.put(rawService(`s${i % 4}`));
  api.remove("Service", "default/s3");
  await using running = await RunningSource.on(api, { transport: client.transport });
  await running.converged(api);
  await api.stop();
  // Restored from an older backup: fewer objects, lower versions.
  await using restored = new ApiDouble({ port });
  restored.put(rawService("s0"), rawService("s1"), rawService("s2"));
  await running.converged(restored);
});

async function openClient(master: string) {
  const transport = await ApiClient.open({ master }, fastTiming());
  return {
    transport,
    [Symbol.asyncDispose]() {
      transport.close();
      return Promise.resolve();
    },
  };
}

Deno.test("Retry-After is kept, by lists and by watches", async () => {
  await using api = new ApiDouble();
  const fault: Fault = { kind: "status", status: 429, retryAfter: 20 };
  api.faults.push({ on: "list", of: "Service", fault }, { on: "watch", of: "Service", fault });
  const started = performance.now();
  await using running = await RunningSource.on(api);
  await running.converged(api);
  // 20 s, a hundred times as fast.
  assert(performance.now() - started >= 200);
  await running.until(() => api.openWatches === 2, "two watches");
  assert(performance.now() - started >= 400);
  assert.equal(count(api, "list Service"), 2);
});

const silences: readonly [string, Fault][] = [
  ["never answers", { kind: "hang" }],
  ["falls silent at once", { kind: "silent", bytes: 0 }],
  ["falls silent within a line", { kind: "silent", bytes: 50 }],
];
for (const [how, fault] of silences) {
  Deno.test(`A watch whose server ${how} is given up, with its connection`, async () => {
    await using api = new ApiDouble();
    await using running = await following(api);
    api.faults.push({ on: "watch", of: "Service", fault });
    api.endWatches();
    await running.until(() => count(api, "watch Service") === 2, "a second watch");
    api.put(rawService("s1"), rawSlice("e1", ["10.0.0.7"]));
    await running.converged(api);
    assert(count(api, "watch Service") >= 3);
    await running.until(() => api.connections <= 3, "the dead connection is closed");
  });

  Deno.test(`A list whose server ${how} is given up and asked for again`, async () => {
    await using api = new ApiDouble();
    api.put(rawService("s0"));
    api.faults.push({ on: "list", of: "Service", fault });
    await using running = await RunningSource.on(api);
    await running.converged(api);
    assert.equal(running.batches.length, 1);
  });
}

/** No wait is long, except for the watchdogs'. */
const HASTY = {
  ...fastTiming(),
  after: (ms: number, callback: () => void) =>
    fastTiming().after(ms % 30_000 === 0 ? ms : Math.min(ms, 100), callback),
};

Deno.test("A connection may break at any byte of an event", async () => {
  await using api = new ApiDouble();
  api.put(rawService("s0"));
  await using running = await RunningSource.on(api, { timing: HASTY });
  await running.converged(api);
  for (let bytes = 0; bytes < 420; bytes += bytes < 20 || bytes > 400 ? 1 : 7) {
    api.faults.push({ on: "watch", of: "Service", fault: { kind: "drop", bytes } });
    api.breakWatches();
    await running.until(() => api.faults.length === 0, "the fault is met");
    api.put(rawService("s0"));
    await running.converged(api);
  }
  assert.equal(running.batches.flat().filter((one) => !one.startsWith("apply")).length, 0);
});

Deno.test("A list may break at any byte, and no part of it is ever taken for the whole", async () => {
  await using api = new ApiDouble();
  api.put(rawService("s0"), rawSlice("e0", ["10.0.0.1"]));
  await using running = await RunningSource.on(api, { timing: HASTY });
  await running.until(() => api.openWatches === 2, "two watches");
  for (let i = 0; i < 3; i++) api.put(rawService(`x${i}`));
  for (let bytes = 0; bytes < 1000; bytes += 49) {
    const kind = bytes % 2 === 0 ? "drop" as const : "end" as const;
    api.faults.push({ on: "watch", of: "Service", fault: { kind: "status", status: 410 } });
    api.faults.push({ on: "list", of: "Service", fault: { kind, bytes } });
    api.breakWatches();
    await running.until(() => api.faults.length === 0, "the faults are met");
    await running.until(() => api.openWatches === 2, "two watches");
  }
  await running.converged(api);
  assert.equal(running.batches.flat().some((one) => one.startsWith("delete")), false);
});

Deno.test("Events may come byte by byte", async () => {
  await using api = new ApiDouble();
  api.put(rawService("s0"));
  api.faults.push({ on: "watch", of: "Service", fault: { kind: "split", bytes: 1 } });
  await using running = await RunningSource.on(api);
  await running.converged(api);
  const metadata = { name: "s1", namespace: "default", annotations: { note: "Straße 街 🚦" } };
  api.put(rawService("s1", { metadata }));
  await running.converged(api);
  assert.equal(
    running.objects.get("Service default/s1")?.metadata.annotations?.note,
    "Straße 街 🚦",
  );
});

Deno.test("A watch that always fails is tried ever more rarely, and is a problem", async () => {
  await using api = new ApiDouble();
  await using running = await following(api);
  for (let i = 0; i < 200; i++) {
    api.faults.push({ on: "watch", fault: { kind: "status", status: 500 } });
  }
  api.endWatches();
  const started = performance.now();
  await running.until(() => count(api, "watch Service") >= 6 && running.problems.length === 2);
  await new Promise((resolve) => setTimeout(resolve, 300));
  // A hundred times as fast: 0.8 s, 1.6 s, 3.2 s … up to 15 s and by chance more between tries.
  const most = 10 + (performance.now() - started) / 150;
  const tries = count(api, "watch Service");
  assert(tries <= most, `${tries} tries`);
  api.faults.length = 0;
  api.put(rawService("s7"));
  await running.converged(api);
  await running.until(() => running.problems.length === 0);
});

Deno.test("A server that takes watches and never answers one is a problem", async () => {
  await using api = new ApiDouble();
  await using running = await following(api);
  for (let i = 0; i < 20; i++) {
    api.faults.push({ on: "watch", of: "Service", fault: { kind: "hang" } });
  }
  api.endWatches();
  await running.until(() => running.problems.length === 1);
  assert.equal(
    running.problems[0],
    "/api/v1/services: cannot watch, trying again: nothing came for 60 s",
  );
  api.faults.length = 0;
  await running.until(() => running.problems.length === 0);
});

Deno.test("Failures that are over make the next one no more costly", async () => {
  await using api = new ApiDouble();
  const fast = fastTiming();
  const waits: number[] = [];
  const timing = {
    ...fast,
    after(ms: number, callback: () => void) {
      // The times of the watchdogs and of progress are round.
      if (ms % 5000 !== 0) waits.push(ms);
      return fast.after(ms, callback);
    },
  };
  api.put(rawService("s0"), rawSlice("e0", ["10.0.0.1"]));
  await using running = await RunningSource.on(api, { timing });
  await running.converged(api);
  for (let round = 0; round < 8; round++) {
    const before = waits.length;
    await api.stop();
    // Two tries each, by the two that watch.
    await running.until(() => waits.length >= before + 4, "some tries");
    api.compact();
    api.start();
    await running.until(() => api.openWatches === 2, "two watches");
    api.put(rawService("s0"), rawSlice("e0", ["10.0.0.3"]));
    await running.converged(api);
  }
  assert(Math.max(...waits) < 15_000, waits.join());
});
