/** Whatever is asked of the API, the answer is one that its document describes. */

import assert from "node:assert/strict";
import fc from "fast-check";
import { type Ask, withQueryApi } from "./http.ts";
import { RealState, slice, web } from "./real_state.ts";
import { type GeneratedRequest, requests } from "./requests.ts";

const RUNS = 1000;
const EVENTS = "GET /api/v1/events";

/** The status; the body is checked, but that of events, which has no end. */
async function statusOf(ask: Ask, base: string, asked: GeneratedRequest): Promise<number> {
  const { method, path, headers, body, operation } = asked;
  if (operation !== EVENTS) return (await ask(path, { method, headers, body })).status;
  const response = await fetch(`${base}${path}`, { method, headers });
  await response.body?.cancel();
  return response.status;
}

for (const mode of ["iptables", "userspace"] as const) {
  Deno.test(`requests made from /openapi.json in ${mode} mode, valid and broken`, async () => {
    const state = new RealState(mode);
    await state.apply(web());
    const seen = new Map<string, Set<number>>();
    let changes = 0;
    await withQueryApi(state, async (ask, base) => {
      const document = (await ask("/openapi.json")).json;
      const check = async (asked: GeneratedRequest) => {
        const status = await statusOf(ask, base, asked);
        assert.ok(status < 500, `${status} ${JSON.stringify(asked)}`);
        if (!seen.has(asked.operation)) seen.set(asked.operation, new Set());
        seen.get(asked.operation)!.add(status);
        if (++changes % 20 === 0) await state.apply([slice("web", [`10.180.1.${changes % 250}`])]);
      };
      await fc.assert(fc.asyncProperty(requests(document), check), { numRuns: RUNS });
      for (const [path, methods] of Object.entries(document.paths)) {
        for (const [method, { responses }] of Object.entries(methods as Record<string, never>)) {
          const statuses = seen.get(`${method.toUpperCase()} ${path}`) ?? new Set();
          assert.ok(statuses.has(200), `${method} ${path} was never answered with 200`);
          if (!Object.hasOwn(responses, "400")) continue;
          assert.ok(statuses.has(400), `${method} ${path} was never answered with 400`);
        }
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
