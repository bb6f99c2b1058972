import assert from "node:assert/strict";
import { digest, payloadSha256, payloadStream } from "../../src/lab/payload.ts";
import { MAX_BYTES, PodServer } from "../../src/lab/pod_server.ts";

const HOST = "127.0.0.1";

function freePort(): number {
  using listener = Deno.listen({ hostname: HOST, port: 0 });
  return listener.addr.port;
}

async function withPod(fn: (origin: string, pod: PodServer) => Promise<void>): Promise<void> {
  const port = freePort();
  const pod = PodServer.start({
    name: "default/web-1",
    hostname: "web-1",
    addresses: [HOST],
    ports: [{ protocol: "TCP", port }, { protocol: "TCP", port }],
  });
  try {
    assert.deepEqual(pod.problems, []);
    await fn(`http://${HOST}:${port}`, pod);
  } finally {
    await pod.close();
  }
}

Deno.test("every path answers with the name, /info with what the pod sees", () =>
  withPod(async (origin) => {
    for (const path of ["", "/", "/any/thing?x=1", "/bytes", "/sha256"]) {
      assert.equal(await (await fetch(origin + path)).text(), "web-1\n", path);
    }
    const info = await (await fetch(`${origin}/info`)).json();
    assert.deepEqual(info, {
      pod: "web-1",
      address: HOST,
      port: Number(new URL(origin).port),
      client: { address: HOST, port: info.client.port },
    });
    assert.ok(info.client.port > 0);
  }));

Deno.test("known bytes go down and up", () =>
  withPod(async (origin) => {
    const bytes = 1_000_003;
    const expected = { bytes, sha256: payloadSha256(bytes) };
    const down = await fetch(`${origin}/bytes?n=${bytes}`);
    assert.equal(down.headers.get("content-length"), String(bytes));
    assert.deepEqual(await digest(down.body), expected);
    const up = await fetch(`${origin}/sha256`, { method: "POST", body: payloadStream(bytes) });
    assert.deepEqual(await up.json(), expected);
  }));

Deno.test("a number of bytes that is none, or too many, is refused", () =>
  withPod(async (origin) => {
    for (const n of ["", "x", "-1", "1.5", "1e3", String(MAX_BYTES + 1)]) {
      const response = await fetch(`${origin}/bytes?n=${n}`);
      assert.equal(response.status, 400, n);
      assert.match(await response.text(), /at most \d+/);
    }
  }));

Deno.test("closing ends open connections and listeners", () =>
  withPod(async (origin, pod) => {
    const endless = await fetch(`${origin}/bytes?n=${MAX_BYTES}`);
    const reading = digest(endless.body);
    await pod.close();
    await assert.rejects(reading);
    const { hostname, port } = new URL(origin);
    const connecting = Deno.connect({ hostname, port: Number(port) });
    await assert.rejects(connecting, Deno.errors.ConnectionRefused);
  }));

Deno.test("a port that is taken is told, and the others serve", async () => {
  using taken = Deno.listen({ hostname: HOST, port: 0 });
  const port = freePort();
  const pod = PodServer.start({
    name: "default/web-1",
    hostname: "web-1",
    addresses: [HOST],
    ports: [{ protocol: "TCP", port: taken.addr.port }, { protocol: "TCP", port }],
  });
  try {
    assert.equal(pod.problems.length, 1);
    assert.match(pod.problems[0], /^default\/web-1: cannot serve TCP 127\.0\.0\.1:\d+: .*in use/);
    assert.equal(await (await fetch(`http://${HOST}:${port}`)).text(), "web-1\n");
  } finally {
    await pod.close();
  }
});
