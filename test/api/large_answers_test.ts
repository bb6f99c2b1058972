/** Large answers over real HTTP, to clients that read them and to clients that do not. */

import assert from "node:assert/strict";
import { Hono } from "hono";
import { onError } from "../../src/api/errors.ts";
import { LARGE_LIMITS, LargeAnswers, type LargeLimits } from "../../src/api/large_answers.ts";
import { serve } from "../../src/api/server.ts";
import { tagged } from "../../src/api/tagged.ts";
import { until } from "../until.ts";
import { getRequest } from "./raw_http.ts";

/** More than connections take that nobody reads. */
const LARGE = "0123456789abcdef".repeat(1 << 20);

async function withLarge(
  limits: Partial<LargeLimits>,
  test: (base: string, port: number, most: () => number) => Promise<void>,
): Promise<void> {
  const app = new Hono();
  app.onError(onError);
  const answers = new LargeAnswers({ ...LARGE_LIMITS, ...limits });
  let made = 0;
  let most = 0;
  for (const path of ["/large", "/large/*"]) app.use(path, answers.middleware, ...tagged());
  app.get("/large", async (context) => {
    most = Math.max(most, ++made);
    await new Promise((resolve) => setTimeout(resolve));
    made--;
    return context.text(LARGE);
  });
  const server = serve({ host: "127.0.0.1", port: 0 }, app.fetch);
  const { port } = server.address;
  try {
    await test(`http://127.0.0.1:${port}/large`, port, () => most);
  } finally {
    await server.stop();
  }
}

Deno.test("large answers are made one after the other, and come as a whole", () =>
  withLarge({}, async (url, _, most) => {
    const ask = async (encoding: string) => {
      const response = await fetch(url, { headers: { "accept-encoding": encoding } });
      assert.equal(response.status, 200);
      assert.equal(await response.text(), LARGE);
      return response.headers;
    };
    const [plain] = await Promise.all(["identity", "gzip", "identity", "gzip"].map(ask));
    assert.equal(plain.get("content-length"), String(LARGE.length));
    assert.equal(plain.get("cache-control"), "no-cache");
    assert.equal(most(), 1);
    const headers = { "if-none-match": plain.get("etag")! };
    const same = await fetch(url, { headers });
    assert.deepEqual([same.status, await same.text()], [304, ""]);
    const head = await fetch(url, { method: "HEAD", headers: { "accept-encoding": "identity" } });
    assert.equal(head.headers.get("content-length"), String(LARGE.length));
  }));

Deno.test("who does not read a large answer is let go, and keeps others out till then only", () =>
  withLarge({ waitingBytes: 1 << 20, stallMs: 1000 }, async (url, port) => {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    await connection.write(new TextEncoder().encode(getRequest("/large", "x")));
    await connection.read(new Uint8Array(1000));
    const refused = await fetch(url);
    assert.equal(refused.status, 503);
    assert.ok(refused.headers.get("retry-after"));
    assert.equal((await refused.json()).error.code, "too_many_answers");
    await until(async () => {
      const response = await fetch(url);
      await response.body?.cancel();
      return response.status === 200;
    }, "others are answered again");
    const rest = await new Response(connection.readable).bytes().catch(() => new Uint8Array());
    assert.ok(rest.length < LARGE.length - 1000);
  }));
