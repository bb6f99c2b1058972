import assert from "node:assert/strict";
import { withQueryApi } from "./http.ts";
import { plain, RealState, web } from "./real_state.ts";

async function state(): Promise<RealState> {
  const state = new RealState("userspace");
  const others = Array.from({ length: 30 }, (_, i) => plain(`s${i}`, `10.0.2.${i + 1}`));
  await state.apply([...web(), ...others]);
  return state;
}

const TAGGED = [
  "/api/v1/services",
  "/api/v1/services/default/web",
  "/api/v1/rules/iptables",
  "/openapi.json",
];

Deno.test("large answers have a tag: the same again is 304, another is sent", async () => {
  const proxy = await state();
  await withQueryApi(proxy, async (ask) => {
    const tags = new Map<string, string>();
    for (const path of TAGGED) {
      const { headers } = await ask(path);
      const tag = headers.get("etag")!;
      assert.ok(tag);
      assert.equal(headers.get("cache-control"), "no-cache");
      const again = await ask(path, { headers: { "if-none-match": tag } });
      assert.equal(again.status, 304);
      assert.equal(again.text, "");
      tags.set(path, tag);
    }
    await proxy.apply([plain("web", "10.0.1.99")]);
    for (const path of TAGGED.slice(0, 3)) {
      const again = await ask(path, { headers: { "if-none-match": tags.get(path)! } });
      assert.equal(again.status, 200, path);
    }
    const { headers } = await ask("/api/v1/conntrack");
    assert.equal(headers.get("cache-control"), "no-store");
  });
});

Deno.test("large answers are compressed for those who take it", async () => {
  await withQueryApi(await state(), async (_, base) => {
    const url = new URL(base);
    const ask = async (encoding: string) => {
      const connection = await Deno.connect({ hostname: url.hostname, port: Number(url.port) });
      const request = `GET /api/v1/services HTTP/1.1\r\nHost: x\r\nConnection: close\r\n` +
        `Accept-Encoding: ${encoding}\r\n\r\n`;
      await connection.write(new TextEncoder().encode(request));
      const answer = new Uint8Array(await new Response(connection.readable).arrayBuffer());
      const text = new TextDecoder("latin1").decode(answer);
      return { head: text.slice(0, text.indexOf("\r\n\r\n")).toLowerCase(), length: answer.length };
    };
    const small = await ask("gzip");
    const large = await ask("identity");
    assert.match(small.head, /content-encoding: gzip/);
    assert.match(small.head, /vary: accept-encoding/);
    assert.match(small.head, /etag: w\/"/);
    assert.doesNotMatch(large.head, /content-encoding/);
    assert.ok(small.length * 5 < large.length, `${small.length} against ${large.length}`);
  });
});

Deno.test("Services come in pages, and by namespace", async () => {
  await withQueryApi(await state(), async (ask) => {
    const names: string[] = [];
    for (let cursor: string | null = ""; cursor !== null;) {
      const { json } = await ask(
        `/api/v1/services?limit=7${cursor && `&cursor=${encodeURIComponent(cursor)}`}`,
      );
      assert.ok(json.items.length <= 7);
      names.push(...json.items.map(({ name }: { name: string }) => name));
      cursor = json.next;
    }
    const all = (await ask("/api/v1/services")).json;
    assert.equal(all.next, null);
    assert.deepEqual(names, all.items.map(({ name }: { name: string }) => name));
    assert.equal(names.length, 31);
    const count = async (query: string) =>
      (await ask(`/api/v1/services?${query}`)).json.items.length;
    assert.equal(await count("namespace=default"), 31);
    assert.equal(await count("namespace=def"), 0);
    for (const query of ["limit=0", "limit=10001", "limit=-1", "limit=1&limit=2", "sort=name"]) {
      assert.equal((await ask(`/api/v1/services?${query}`)).status, 400, query);
    }
  });
});

Deno.test("every answer has a request's id: the client's where it is a plain word", async () => {
  await withQueryApi(await state(), async (ask) => {
    const idOf = async (path: string, id?: string) => {
      const headers = new Headers(id === undefined ? [] : [["x-request-id", id]]);
      return (await ask(path, { headers })).headers.get("x-request-id");
    };
    assert.equal(await idOf("/api/v1/services", "abc-1"), "abc-1");
    assert.equal(await idOf("/nothing", "abc-2"), "abc-2");
    for (const bad of ["x".repeat(129), "a b", "<script>"]) {
      const id = await idOf("/healthz", bad);
      assert.match(id!, /^[0-9a-f]{12}-[1-9][0-9]*$/);
    }
    assert.notEqual(await idOf("/healthz"), await idOf("/healthz"));
    const headers = { "if-none-match": "*", "x-request-id": "abc-3" };
    const same = await ask("/api/v1/services", { headers });
    assert.equal(same.status, 304);
    assert.equal(same.headers.get("x-request-id"), "abc-3");
  });
});
