import assert from "node:assert/strict";
import { ListenError, serve, serveSocket } from "../../src/api/server.ts";
import { queryApp } from "../../src/api/app.ts";
import { Metrics } from "../../src/api/metrics.ts";
import { exchange, getRequest, statusOf } from "./raw_http.ts";
import { FixedState } from "./fixtures.ts";

async function withFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function ask(path: string, request = getRequest("/", "x")): Promise<string> {
  return await exchange(await Deno.connect({ transport: "unix", path }), request);
}

function tokenApp() {
  const metrics = new Metrics(["IPv4"], "1");
  return queryApp(new FixedState(), metrics, { version: "1", token: "0123456789abcdef" });
}

Deno.test("a Unix socket answers its owner and group, and goes with the server", () =>
  withFolder(async (folder) => {
    const path = `${folder}/api.sock`;
    const mask = Deno.umask();
    const server = await serveSocket(path, () => new Response("hello"));
    assert.equal(Deno.umask(), mask);
    const info = await Deno.lstat(path);
    assert.ok(info.isSocket);
    assert.equal(info.mode! & 0o777, 0o660);
    assert.match(await ask(path), /hello$/);
    await assert.rejects(serveSocket(path, () => new Response("other")), {
      name: "ListenError",
      message: `cannot listen on ${path}: the socket is in use`,
    });
    assert.match(await ask(path), /hello$/);
    await server.stop();
    await assert.rejects(Deno.lstat(path), Deno.errors.NotFound);
  }));

Deno.test("a socket that a killed process left is replaced, anything else is not", () =>
  withFolder(async (folder) => {
    const path = `${folder}/api.sock`;
    const killed = Deno.listen({ transport: "unix", path: `${folder}/other.sock` });
    await Deno.link(`${folder}/other.sock`, path);
    killed.close();
    assert.ok((await Deno.lstat(path)).isSocket);
    const server = await serveSocket(path, () => new Response("new"));
    assert.match(await ask(path), /new$/);
    await server.stop();
    await Deno.writeTextFile(path, "mine");
    await assert.rejects(serveSocket(path, () => new Response("")), (error) => {
      assert.ok(error instanceof ListenError);
      assert.match(error.message, /it is there, and no socket$/);
      return true;
    });
    assert.equal(await Deno.readTextFile(path), "mine");
    await assert.rejects(serveSocket(`${folder}/none/api.sock`, () => new Response("")), {
      name: "ListenError",
    });
  }));

Deno.test("who comes by the socket is asked for no token, and may call it any name", () =>
  withFolder(async (folder) => {
    const app = tokenApp();
    const path = `${folder}/api.sock`;
    const server = await serveSocket(path, (request) => app.fetch(request, { trusted: true }));
    try {
      const answer = await ask(path, getRequest("/api/v1/services", "anything.example"));
      assert.equal(statusOf(answer), 200);
      assert.equal((await app.request("/api/v1/services")).status, 401);
    } finally {
      await server.stop();
    }
  }));

Deno.test("on loopback without a token only names of this machine are answered", async () => {
  const metrics = new Metrics(["IPv4"], "1");
  const app = queryApp(new FixedState(), metrics, { version: "1", token: null });
  const handler = (request: Request) => app.fetch(request, { loopback: true });
  const server = serve({ host: "127.0.0.1", port: 0 }, handler);
  const { port } = server.address;
  const status = async (host: string) => {
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    return statusOf(await exchange(connection, getRequest("/api/v1/services", host)));
  };
  try {
    const own = [
      "localhost",
      `localhost:${port}`,
      `127.0.0.1:${port}`,
      "127.9.9.9",
      `[::1]:${port}`,
    ];
    for (const host of own) assert.equal(await status(host), 200, host);
    const foreign = [
      "evil.example",
      "localhost.evil.example",
      "10.0.0.1",
      "[fd00::1]",
      "127.0.0.1.nip.io",
    ];
    for (const host of foreign) assert.equal(await status(host), 421, host);
  } finally {
    await server.stop();
  }
});

Deno.test("a Host that no URL can have is refused, whoever asks and whatever for", async () => {
  const ask = async (app: ReturnType<typeof tokenApp>, request: string) => {
    const server = serve(
      { host: "127.0.0.1", port: 0 },
      (request) => app.fetch(request, { loopback: true }),
    );
    try {
      const { port } = server.address;
      return await exchange(await Deno.connect({ hostname: "127.0.0.1", port }), request);
    } finally {
      await server.stop();
    }
  };
  const open = queryApp(new FixedState(), new Metrics(["IPv4"], "1"), {
    version: "1",
    token: null,
  });
  const signIn = (host: string) =>
    `POST /login HTTP/1.1\r\nHost: ${host}\r\nOrigin: http://x\r\nContent-Length: 1\r\n` +
    "Connection: close\r\n\r\nx";
  for (const host of ["localhost:99999", "localhost:http", "a b", "[::1%25lo]", "[::1"]) {
    for (
      const [app, request] of [
        [open, getRequest("/api/v1/services", host)],
        [open, getRequest("/api/v1/services", host).replace("GET", "HEAD")],
        [tokenApp(), getRequest("/explain", `${host}\r\nAccept: text/html`)],
        [tokenApp(), signIn(host)],
      ] as const
    ) {
      const answer = await ask(app, request);
      assert.equal(statusOf(answer), 400, `${host}: ${answer}`);
      if (!request.startsWith("HEAD")) assert.match(answer, /"code":"invalid_host"/);
    }
  }
});

Deno.test("HEAD has the head of what GET answers", async () => {
  const metrics = new Metrics(["IPv4"], "1");
  const app = queryApp(new FixedState(), metrics, { version: "1", token: null });
  const server = serve({ host: "127.0.0.1", port: 0 }, app.fetch);
  const { port } = server.address;
  const ask = async (method: string, path: string, more = "") => {
    const request = getRequest(path, `x${more}`).replace("GET", method);
    const connection = await Deno.connect({ hostname: "127.0.0.1", port });
    const [head, body] = (await exchange(connection, request)).split("\r\n\r\n");
    const lines = head.split("\r\n").filter((line) => !/^(?:date|x-request-id):/.test(line));
    return { lines, length: body.length };
  };
  try {
    for (const path of ["/api/v1/services", "/healthz", "/none", "/assets/icon.svg"]) {
      const get = await ask("GET", path);
      assert.ok(get.lines.includes(`content-length: ${get.length}`), path);
      const head = await ask("HEAD", path, "\r\nContent-Length: 0");
      assert.deepEqual(head, { lines: get.lines, length: 0 }, path);
    }
    const { lines } = await ask("HEAD", "/openapi.json", "\r\nAccept-Encoding: gzip");
    assert.ok(lines.includes("content-encoding: gzip"));
    assert.ok(!lines.some((line) => line.startsWith("content-length")));
  } finally {
    await server.stop();
  }
});
