import assert from "node:assert/strict";
import type { ProxyMode } from "../../src/dataplane/dataplane.ts";
import { type Ask, post, withQueryApi } from "./http.ts";
import { plain, RealState, slice, web } from "./real_state.ts";

const PATH = "/api/v1/history";
const PACKET = { source: "10.180.0.77", dest: "10.0.1.175", port: 80, protocol: "TCP" };
const QUERY = "source=10.180.0.77&dest=10.0.1.175&port=80&protocol=TCP";

/** Four entries: web, another Service, fewer endpoints of web, and web gone. */
async function state(mode: ProxyMode = "iptables"): Promise<RealState> {
  const state = new RealState(mode);
  const objects = web();
  await state.apply(objects);
  await state.apply([plain("other", "10.0.1.176")]);
  await state.apply([slice("web", ["10.180.0.9"])]);
  await state.apply([objects[0]], { action: "delete" });
  return state;
}

Deno.test("the history, the newest first, in pages and by Service", async () => {
  await withQueryApi(await state(), async (ask) => {
    const { status, json } = await ask(PATH);
    assert.equal(status, 200);
    assert.deepEqual([json.next, json.oldest], [null, 1]);
    assert.deepEqual(
      json.items.map(({ id, trigger, services }: Record<string, unknown>) => [
        id,
        trigger,
        services,
      ]),
      [
        [4, "change", ["default/web"]],
        [3, "change", ["default/web"]],
        [2, "change", ["default/other"]],
        [1, "start", ["default/web"]],
      ],
    );
    const [newest] = json.items;
    assert.deepEqual(newest.causes, [
      { action: "delete", kind: "Service", object: "default/web", resourceVersion: null },
    ]);
    assert.ok(!Number.isNaN(Date.parse(newest.time)));
    const first = (await ask(`${PATH}?limit=3`)).json;
    assert.deepEqual([first.items.length, first.next], [3, 2]);
    const second = (await ask(`${PATH}?limit=3&cursor=${first.next}`)).json;
    assert.deepEqual([second.items.length, second.items[0].id, second.next], [1, 1, null]);
    const ofWeb = (await ask(`${PATH}?service=default/web`)).json.items;
    assert.deepEqual(ofWeb.map(({ id }: { id: number }) => id), [4, 3, 1]);
  });
});

Deno.test("one entry says what changed and what was sent", async () => {
  const served = await state();
  const sent = [{ where: "IPv4", lines: 1, text: "*nat\n-A X\nCOMMIT\n", cut: false }];
  served.history.record({
    timeMs: 0,
    durationMs: 7,
    ok: false,
    error: "locked",
    changes: [],
    change: { node: null, updated: [], removed: [] },
    sent,
  });
  await withQueryApi(served, async (ask) => {
    const { json } = await ask(`${PATH}/3`);
    const [{ service, change, backends }] = json.differences;
    assert.deepEqual([service, change, backends.added.length, backends.removed.length], [
      "default/web",
      "changed",
      1,
      3,
    ]);
    const { json: failed } = await ask(`${PATH}/5`);
    assert.deepEqual([failed.ok, failed.error, failed.sent, failed.linesSent], [
      false,
      "locked",
      sent,
      1,
    ]);
    assert.equal(failed.time, "1970-01-01T00:00:00.000Z");
    const { status, json: none } = await ask(`${PATH}/9`);
    assert.equal(status, 404);
    assert.match(none.error.message, /^there is no entry 9 of the history: 1 to 5 are kept$/);
    assert.equal((await ask(`${PATH}/x`)).status, 400);
    assert.equal((await ask(`${PATH}?cursor=0`)).status, 400);
  });
});

for (const mode of ["iptables", "nftables", "userspace"] as const) {
  Deno.test(`explanations of what was, by both witnesses, in ${mode} mode`, async () => {
    await withQueryApi(await state(mode), async (ask) => {
      const at = async (id: number) => (await ask(`/api/v1/explain?${QUERY}&asOf=${id}`)).json;
      const first = await at(1);
      assert.deepEqual([first.verdict, first.backends.length, first.asOf], ["FORWARD", 3, 1]);
      assert.deepEqual(first.disagreements, []);
      assert.deepEqual((await at(2)).backends, first.backends);
      const third = await at(3);
      assert.deepEqual(
        third.backends.map(({ address }: { address: string }) => address),
        ["10.180.0.9"],
      );
      assert.deepEqual([third.engine.backend.address, third.disagreements], ["10.180.0.9", []]);
      const now = (await ask(`/api/v1/explain?${QUERY}`)).json;
      assert.deepEqual([(await at(4)).verdict, now.verdict, now.asOf], ["PASS", "PASS", undefined]);
      const { json: posted } = await ask("/api/v1/explain?asOf=1", post(PACKET));
      assert.deepEqual(posted, first);
      const nodePort = "source=203.0.113.9&dest=192.168.50.10&port=30080&protocol=TCP&asOf=3";
      assert.equal((await ask(`/api/v1/explain?${nodePort}`)).json.verdict, "FORWARD");
    });
  });
}

Deno.test("what is not kept cannot be explained, nor what the node had", async () => {
  await withQueryApi(await state(), async (ask: Ask) => {
    const missing = await ask(`/api/v1/explain?${QUERY}&asOf=77`);
    assert.deepEqual([missing.status, missing.json.error.field], [404, "asOf"]);
    const node = await ask(`/api/v1/explain?${QUERY}&asOf=1&rules=node`);
    assert.deepEqual([node.status, node.json.error.field], [400, "asOf"]);
  });
});

Deno.test("a proxy that has synced nothing has no history", async () => {
  await withQueryApi(new RealState("userspace"), async (ask) => {
    assert.deepEqual((await ask(PATH)).json, { items: [], next: null, oldest: null });
    assert.match((await ask(`${PATH}/1`)).json.error.message, /: there is none yet$/);
  });
});
