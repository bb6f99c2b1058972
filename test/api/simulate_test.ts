/** Simulations over HTTP. */

import assert from "node:assert/strict";
import { post, withQueryApi } from "./http.ts";
import { RealState, web } from "./real_state.ts";

const PATH = "/api/v1/simulate";

Deno.test("simulations are answered, as figures or as a chart, and are the same each time", async () => {
  const state = new RealState("userspace");
  await state.apply(web());
  await withQueryApi(state, async (ask) => {
    const asked = post({ seconds: 20, events: [{ atSeconds: 10, backend: 3, weight: null }] });
    const first = await ask(PATH, asked);
    assert.equal(first.status, 200, first.text);
    const { outcomes } = first.json;
    assert.deepEqual(outcomes.map(({ scheduler }: { scheduler: string }) => scheduler), [
      "rr",
      "lc",
      "mh",
    ]);
    assert.ok(outcomes[1].variation.mean < outcomes[0].variation.mean);
    assert.equal((await ask(PATH, asked)).text, first.text);
    const chart = await ask(`${PATH}?format=svg`, asked);
    assert.equal(chart.headers.get("content-type"), "image/svg+xml");
    assert.match(chart.text, /^<svg [^]*<\/svg>\n$/);
  });
});

Deno.test("a Service's own backends can be asked about", async () => {
  const state = new RealState("userspace");
  await state.apply(web());
  await withQueryApi(state, async (ask) => {
    const { json } = await ask(PATH, post({ service: "default/web", schedulers: ["rr"] }));
    const expected = state.plan().services.get("default/web")!.ports[0].cluster.length;
    assert.equal(json.outcomes[0].backends.length, expected);
    const missing = await ask(PATH, post({ service: "default/none" }));
    assert.deepEqual([missing.status, missing.json.error.field], [404, "service"]);
  });
});

Deno.test("a Service's own backends leave no room for others", async () => {
  const state = new RealState("userspace");
  await state.apply(web());
  await withQueryApi(state, async (ask) => {
    const { status, json } = await ask(PATH, post({ service: "default/web", backends: 3 }));
    assert.equal(status, 400);
    assert.deepEqual(json.error, {
      code: "invalid_request",
      message: "backends: expected none beside service",
      field: "backends",
    });
  });
});

Deno.test("what is wrong or too much is refused with its field", async () => {
  const refusals: readonly [unknown, number, string | null][] = [
    [{ schedulers: [] }, 400, "schedulers"],
    [{ schedulers: ["rr", "best"] }, 400, "schedulers[1]"],
    [{ durations: { distribution: "pareto", shape: 1 } }, 400, "durations.shape"],
    [{ events: [{ atSeconds: 1, backend: 10, weight: 0 }] }, 400, "events[0].backend"],
    [{ backends: [{ address: "10.0.0.1" }, { address: "fd00::1" }] }, 400, "backends[1].address"],
    [{ backends: [{ address: "10.0.0.1" }, { address: "10.0.0.1" }] }, 400, "backends[1].address"],
    [{ backends: "many" }, 400, "backends"],
    [{ surprise: 1 }, 400, "surprise"],
    [{ events: Array(101).fill({ atSeconds: 1, backend: 0, weight: 1 }) }, 413, "events"],
    [{ arrivals: { perSecond: 1_000_000 } }, 422, "arrivals.perSecond"],
    [{ nodes: 1000, backends: 101 }, 422, "nodes"],
    [{ schedulers: ["rr", "lc", "mh"], backends: 7000 }, 422, "backends"],
  ];
  await withQueryApi(new RealState("userspace"), async (ask) => {
    for (const [body, status, field] of refusals) {
      const reply = await ask(PATH, post(body));
      assert.deepEqual([reply.status, reply.json.error.field], [status, field], reply.text);
    }
  });
});

Deno.test("one simulation at a time, and others get their answers meanwhile", async () => {
  const state = new RealState("userspace");
  await state.apply(web());
  await withQueryApi(state, async (ask) => {
    const long = ask(PATH, post({ schedulers: ["wlc"], arrivals: { perSecond: 8000 } }));
    let ended = false;
    long.finally(() => ended = true);
    const second = await ask(PATH, post({}));
    assert.deepEqual([second.status, second.json.error.code], [429, "busy"]);
    assert.equal((await ask("/api/v1/services")).status, 200);
    assert.equal(ended, false);
    assert.equal((await long).status, 200);
  });
});
