/** Whatever is asked of the API, the answer is one that its document describes. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { type Ask, post, withQueryApi } from "./http.ts";
import { RealState, slice, web } from "./real_state.ts";
import { type Document, type GeneratedRequest, requests } from "./requests.ts";

/** Requests to each operation, and how many more there may be until one was right and one wrong. */
const RUNS = 40;
const MOST_MORE = 1000;
const PACKET = { source: "203.0.113.9", dest: "10.0.1.175", port: 80, protocol: "TCP" };
const EVENTS = "GET /api/v1/events";

/** The status; the body is checked, but that of events, which has no end. */
async function statusOf(ask: Ask, base: string, asked: GeneratedRequest): Promise<number> {
  const { method, path, headers, body, operation } = asked;
  if (operation !== EVENTS) return (await ask(path, { method, headers, body })).status;
  const response = await fetch(`${base}${path}`, { method, headers });
  await response.body?.cancel();
  return response.status;
}

/** The statuses that an operation has to be seen with. */
function wantedOf(document: Document, operation: string): string[] {
  const [method, path] = operation.split(" ");
  const { responses } = document.paths[path][method.toLowerCase()];
  return ["200", "400"].filter((status) => Object.hasOwn(responses, status));
}

for (const mode of ["iptables", "userspace"] as const) {
  Deno.test(`requests made from /openapi.json in ${mode} mode, valid and broken`, async () => {
    const state = new RealState(mode);
    await state.apply(web());
    let changes = 0;
    await withQueryApi(state, async (ask, base) => {
      const document = (await ask("/openapi.json")).json;
      for (const [operation, arbitrary] of requests(document)) {
        const seen = new Set<string>();
        const check = async (asked: GeneratedRequest) => {
          const status = await statusOf(ask, base, asked);
          assert.ok(status < 500, `${status} ${JSON.stringify(asked)}`);
          seen.add(String(status));
        };
        await fc.assert(fc.asyncProperty(arbitrary, check), { numRuns: RUNS });
        const wanted = wantedOf(document, operation);
        const isSeen = () => wanted.every((status) => seen.has(status));
        for (let seed = 0; seed < MOST_MORE && !isSeen(); seed++) {
          await check(fc.sample(arbitrary, { seed, numRuns: 1 })[0]);
        }
        assert.ok(isSeen(), `${operation} was never answered with one of ${wanted}: ${[...seen]}`);
        // Whatever was asked, changes reach the engine and are told.
        const address = `10.180.1.${++changes}`;
        await state.apply([slice("web", [address])]);
        const { json } = await ask("/api/v1/lookup", post({ packets: [PACKET] }));
        assert.equal(json.results[0].backend.address, address);
      }
      const { json } = await ask("/api/v1/diff?verify=true");
      assert.deepEqual(json.verification.disputes, []);
    });
  });
}

Deno.test("every other method on every path is refused as the document's errors are", async () => {
  await withQueryApi(new RealState("userspace"), async (ask) => {
    const document = (await ask("/openapi.json")).json;
    for (const [template, methods] of Object.entries(document.paths)) {
      const path = template.replace(/\{\w+\}/g, "x");
      for (const method of ["GET", "POST", "PUT", "PATCH", "DELETE"]) {
        if (Object.hasOwn(methods as object, method.toLowerCase())) continue;
        const { status, json } = await ask(path, { method });
        assert.equal(status, 405, `${method} ${path}`);
        assert.equal(json.error.code, "method_not_allowed");
      }
    }
  });
});
