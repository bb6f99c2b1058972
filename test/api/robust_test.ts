/** Clients that are slow, half gone or many do not keep the proxy from its work. */

import assert from "node:assert/strict";
import { withQueryApi } from "./http.ts";
import { exchange, getRequest, statusOf } from "./raw_http.ts";
import { RealState, slice, web } from "./real_state.ts";
import { until } from "../until.ts";

const encoder = new TextEncoder();

/** Changes the cluster, and expects the change to be answered while all others are connected. */
async function expectWork(state: RealState, base: string): Promise<void> {
  for (let i = 1; i <= 20; i++) {
    await state.apply([slice("web", [`10.180.9.${i}`])]);
    state.events.publish({ type: "sync", ok: true, durationMs: i, error: null });
    const response = await fetch(`${base}/api/v1/services/default/web`);
    const { frontends } = await response.json();
    assert.equal(frontends[0].backends[0].address, `10.180.9.${i}`);
  }
}

async function withClients(
  count: number,
  begin: (connection: Deno.TcpConn) => Promise<void>,
  test: (state: RealState, base: string, connections: readonly Deno.TcpConn[]) => Promise<void>,
): Promise<void> {
  const state = new RealState("userspace");
  await state.apply(web());
  await withQueryApi(state, async (_, base) => {
    const { hostname, port } = new URL(base);
    const connections: Deno.TcpConn[] = [];
    try {
      for (let i = 0; i < count; i++) {
        const connection = await Deno.connect({ hostname, port: Number(port) });
        connections.push(connection);
        await begin(connection);
      }
      await test(state, base, connections);
    } finally {
      connections.forEach(close);
    }
  }, { bodyTimeoutMs: 200 });
}

function close(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

const send = (connection: Deno.Conn, text: string) => connection.write(encoder.encode(text));

/** Connections of their own, as new clients have. */
async function expectNewClients(base: string): Promise<void> {
  const { hostname, port } = new URL(base);
  for (const path of ["/healthz", "/metrics", "/api/v1/services/default/web"]) {
    const connection = await Deno.connect({ hostname, port: Number(port) });
    assert.equal(statusOf(await exchange(connection, getRequest(path, "x"))), 200, path);
  }
}

Deno.test("a thousand requests whose heads never end", () =>
  withClients(1000, async (connection) => {
    await send(connection, "GET /api/v1/services HTTP/1.1\r\nHost: x\r\nX-Slow: ");
  }, async (state, base, connections) => {
    for (const text of ["a", "b"]) {
      for (const connection of connections) await send(connection, text);
      await expectWork(state, base);
      await expectNewClients(base);
    }
    await send(connections[0], "\r\nConnection: close\r\n\r\n");
    assert.equal(statusOf(await new Response(connections[0].readable).text()), 200);
  }));

Deno.test("bodies that never come are answered, and their connections can go", () =>
  withClients(100, async (connection) => {
    const head = "Host: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n";
    await send(connection, `POST /api/v1/lookup HTTP/1.1\r\n${head}{`);
  }, async (state, base, connections) => {
    await expectWork(state, base);
    const buffer = new Uint8Array(1 << 12);
    for (const connection of connections) {
      const n = await connection.read(buffer);
      assert.equal(statusOf(new TextDecoder().decode(buffer.subarray(0, n ?? 0))), 408);
    }
  }));

Deno.test("bodies that end before their length are refused", () =>
  withClients(5, async (connection) => {
    const head = "Host: x\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n";
    await send(connection, `POST /api/v1/lookup HTTP/1.1\r\n${head}{`);
    await connection.closeWrite();
  }, async (state, base, connections) => {
    for (const connection of connections) {
      const answer = await new Response(connection.readable).text();
      assert.equal(statusOf(answer), 400);
      assert.match(answer, /"code":"incomplete_body"/);
    }
    await expectWork(state, base);
  }));

Deno.test("connections that are half closed", () =>
  withClients(100, async (connection) => {
    await send(connection, "GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n");
    await connection.closeWrite();
  }, (state, base) => expectWork(state, base)));

Deno.test("answers that nobody reads", () =>
  withClients(50, async (connection) => {
    await send(connection, "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n".repeat(50));
  }, (state, base) => expectWork(state, base)));

Deno.test("clients that break off in the middle of everything", () =>
  withClients(150, async (connection) => {
    await send(connection, "GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\nPOST /api/v1/lookup HT");
  }, async (state, base, connections) => {
    for (const connection of connections) connection.close();
    await expectWork(state, base);
  }));

Deno.test("bytes that are no HTTP", () =>
  withClients(0, () => Promise.resolve(), async (state, base) => {
    const { hostname, port } = new URL(base);
    const garbage = [
      "\0\0\0\0",
      "GET\r\n\r\n",
      "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
      `GET /${"a".repeat(100_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
      `GET / HTTP/1.1\r\n${"X: y\r\n".repeat(5000)}\r\n`,
      "POST /api/v1/lookup HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    ];
    for (const bytes of garbage) {
      const connection = await Deno.connect({ hostname, port: Number(port) });
      await send(connection, bytes);
      await connection.closeWrite();
      await new Response(connection.readable).bytes().catch(() => {});
    }
    await expectWork(state, base);
  }));

Deno.test("a thousand idle event streams all hear what happens, and others are answered", () =>
  withClients(1000, async (connection) => {
    await send(connection, "GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n");
  }, async (state, base, connections) => {
    await expectWork(state, base);
    const heard = async (connection: Deno.Conn) => {
      const buffer = new Uint8Array(1 << 14);
      let text = "";
      while (!text.includes('"durationMs":20,')) {
        const n = await connection.read(buffer);
        assert.notEqual(n, null, "the stream ended");
        text += new TextDecoder().decode(buffer.subarray(0, n!));
      }
    };
    await Promise.all(connections.map(heard));
    // 24 more are taken; then there is no room, until some of them have gone.
    const { hostname, port } = new URL(base);
    const more = await Promise.all(Array.from({ length: 24 }, async () => {
      const connection = await Deno.connect({ hostname, port: Number(port) });
      await send(connection, "GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n");
      await connection.read(new Uint8Array(1 << 12));
      return connection;
    }));
    const ask = async () => {
      const response = await fetch(`${base}/api/v1/events`);
      await response.body?.cancel();
      return response.status;
    };
    assert.equal(await ask(), 503);
    for (const connection of more) connection.close();
    await until(async () => await ask() === 200, "there is room again");
    const one = await Deno.connect({ hostname, port: Number(port) });
    assert.equal(statusOf(await exchange(one, getRequest("/healthz", "x"))), 200);
  }));
