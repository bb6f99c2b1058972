import assert from "node:assert/strict";
import { Hono } from "hono";
import { checks } from "../../src/api/checks.ts";
import { syncsFirst } from "../../src/api/syncs_first.ts";
import { withQueryApi } from "./http.ts";
import { RealState, web } from "./real_state.ts";

const PACKET = "source=203.0.113.9&dest=10.0.1.175&port=80&protocol=TCP";

/** An application that notes which requests have got through. */
function noting(syncing: () => boolean) {
  const through: number[] = [];
  const app = new Hono();
  app.use(checks(syncsFirst(syncing, "/")));
  app.get("/:i", (context) => {
    through.push(Number(context.req.param("i")));
    return context.body(null);
  });
  const ask = (count: number) => Array.from({ length: count }, (_, i) => app.request(`/${i}`));
  return { ask, through };
}

Deno.test("without a sync all get through at once", async () => {
  const { ask, through } = noting(() => false);
  const asked = ask(50);
  for (let i = 0; i < 10; i++) await Promise.resolve();
  assert.equal(through.length, 50);
  await Promise.all(asked);
});

Deno.test("while a sync is under way they get through one by one, in their order", async () => {
  const { ask, through } = noting(() => true);
  const asked = ask(50);
  for (let i = 0; i < 100; i++) await Promise.resolve();
  assert.deepEqual(through, [0]);
  await Promise.all(asked);
  assert.deepEqual(through, Array.from({ length: 50 }, (_, i) => i));
});

Deno.test("when the sync ends all the others follow", async () => {
  let syncing = true;
  const { ask, through } = noting(() => syncing);
  const asked = ask(50);
  for (let i = 0; i < 100; i++) await Promise.resolve();
  assert.equal(through.length, 1);
  syncing = false;
  await Promise.all(asked);
  assert.equal(through.length, 50);
});

Deno.test("one that takes long keeps neither the others nor later ones waiting", async () => {
  let syncing = true;
  const app = new Hono();
  app.use(checks(syncsFirst(() => syncing, "/")));
  const slow = Promise.withResolvers<void>();
  app.get("/slow", async (context) => {
    await slow.promise;
    return context.text("slow");
  });
  app.get("/quick", (context) => context.text("quick"));
  const first = app.request("/slow");
  for (let i = 0; i < 5; i++) assert.equal(await (await app.request("/quick")).text(), "quick");
  syncing = false;
  assert.equal(await (await app.request("/quick")).text(), "quick");
  slow.resolve();
  assert.equal(await (await first).text(), "slow");
});

Deno.test("the API answers during a sync that never ends, and probes do not wait", async () => {
  const state = Object.assign(new RealState("userspace"), { syncing: () => true });
  await state.apply(web());
  await withQueryApi(state, async (ask) => {
    const paths = Array.from({ length: 20 }, () => `/api/v1/explain?${PACKET}`);
    const answers = await Promise.all(paths.map((path) => ask(path)));
    for (const { status, json } of answers) {
      assert.equal(status, 200);
      assert.equal(json.verdict, "FORWARD");
    }
    assert.equal((await ask("/healthz")).status, 200);
  });
});
