import assert from "node:assert/strict";
import { ApiDouble } from "./api_double.ts";
import { rawService, rawSlice, RunningSource } from "./helpers.ts";

Deno.test("The first batch is complete, and changes follow", async () => {
  await using api = new ApiDouble();
  for (let i = 0; i < 10; i++) api.put(rawService(`s${i}`), rawSlice(`e${i}`, [`10.0.0.${i + 1}`]));
  await using running = await RunningSource.on(api);
  await running.converged(api);
  assert.equal(running.batches.length, 1);
  assert.equal(running.batches[0].length, 20);
  api.put(rawService("s10"));
  api.remove("Service", "default/s3");
  api.put(rawService("s4", { spec: { clusterIP: "10.96.0.9", ports: [{ port: 81 }] } }));
  await running.converged(api);
  assert.deepEqual(running.problems, []);
});
