import assert from "node:assert/strict";
import { ApiClient } from "../../../src/cluster/kubernetes/api_client.ts";
import type { AccessOptions } from "../../../src/cluster/kubernetes/access.ts";
import { dial } from "../../../src/cluster/kubernetes/dial.ts";
import { requires } from "../../requirements.ts";
import { ApiDouble } from "./api_double.ts";
import { ConnectProxy } from "./connect_proxy.ts";
import { ask, fastTiming, rawService, RunningSource } from "./helpers.ts";
import { Pki } from "./pki.ts";
import { SocksProxy } from "./socks_proxy.ts";

const GOOD = '{"major":"1"}';
const HERE = "127.0.0.1";

/** A server whose certificate is for "api.test", and an authority. */
class Server implements AsyncDisposable {
  private constructor(readonly pki: Pki, readonly api: ApiDouble) {}

  static async start(names = "DNS:api.test"): Promise<Server> {
    const pki = await Pki.create();
    return new Server(pki, new ApiDouble({ tls: await pki.server(names) }));
  }

  get port(): number {
    return Number(new URL(this.api.url).port);
  }

  access(cluster: Record<string, unknown>, user: unknown = {}): AccessOptions {
    const path = this.pki.path(`config-${crypto.randomUUID()}`);
    const clusters = [{ name: "c", cluster: { server: this.api.url, ...cluster } }];
    const contexts = [{ name: "x", context: { cluster: "c", user: "u" } }];
    const users = [{ name: "u", user }];
    const config = { clusters, users, contexts, "current-context": "x" };
    Deno.writeTextFileSync(path, JSON.stringify(config));
    return { kubeconfig: path };
  }

  /** The body of an answer, or the message of the failure. */
  ask(cluster: Record<string, unknown>, user?: unknown, path?: string): Promise<string> {
    return ask(this.access(cluster, user), path);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.api.stop();
    await this.pki[Symbol.asyncDispose]();
  }
}

const NAMED = { "certificate-authority": "ca.crt", "tls-server-name": "api.test" };
const INSECURE = { "insecure-skip-tls-verify": true };

Deno.test({
  ...requires("tls-server-name is verified through a proxy of any kind", "openssl"),
  async fn() {
    await using server = await Server.start();
    const { pki, port } = server;
    await pki.certificate("proxy", "ca", `IP:${HERE}`);
    await using http = new ConnectProxy({ login: "me:p@ss" });
    await using https = new ConnectProxy({ tls: await pki.pair("proxy") });
    await using socks = new SocksProxy({ login: "me:p@ss", onward: { hostname: HERE, port } });
    const urls = [
      http.url.replace("://", "://me:p%40ss@"),
      https.url,
      `socks5://me:p%40ss@${socks.host}`,
    ];
    for (const url of urls) {
      assert.equal(await server.ask({ ...NAMED, "proxy-url": url }), GOOD, url);
      const misnamed = { ...NAMED, "tls-server-name": "other.test", "proxy-url": url };
      assert.match(await server.ask(misnamed), /certificate/, url);
    }
    assert.deepEqual(http.targets, [`${HERE}:${port}`, `${HERE}:${port}`]);
    assert.deepEqual(https.targets, http.targets);
    assert.deepEqual(socks.targets, [`${HERE} ${port}`, `${HERE} ${port}`]);
    const unknown = await server.ask({ ...NAMED, "proxy-url": http.url });
    assert.equal(
      unknown,
      `proxy-url ${http.url}: it answered CONNECT ${HERE}:${port} with ` +
        "407 Proxy Authentication Required",
    );
  },
});

Deno.test({
  ...requires("With insecure-skip-tls-verify whoever answers is the server", "openssl"),
  async fn() {
    await using server = await Server.start();
    assert.match(await server.ask({ "certificate-authority": "ca.crt" }), /certificate/);
    assert.equal(await server.ask(INSECURE), GOOD);
    assert.equal(await server.ask({ ...INSECURE, "tls-server-name": "any.test" }), GOOD);
    await using proxy = new ConnectProxy();
    assert.equal(await server.ask({ ...INSECURE, "proxy-url": proxy.url }), GOOD);
    assert.deepEqual(proxy.targets, [`${HERE}:${server.port}`]);
    assert.match(
      await server.ask({ ...INSECURE, "proxy-url": "http://127.0.0.1:1" }),
      /^proxy-url/,
    );
    assert.equal(
      await server.ask(INSECURE, {}, "/apis/x"),
      "status 404: NotFound: NotFound on command",
    );
    server.api.tokens = new Set(["one"]);
    assert.match(await server.ask(INSECURE), /status 401/);
    assert.equal(await server.ask(INSECURE, { token: "one" }), GOOD);
    await server.api.stop();
    assert.match(await server.ask(INSECURE), /ECONNREFUSED/);
  },
});

Deno.test({
  ...requires("Without verification, too, a source converges after every kind of break", "openssl"),
  async fn() {
    await using server = await Server.start();
    const { api } = server;
    for (let i = 0; i < 30; i++) api.put(rawService(`s${i}`));
    const timing = fastTiming();
    const transport = await ApiClient.open(server.access(INSECURE), timing);
    await using running = await RunningSource.on(api, { transport, timing });
    await running.converged(api);
    const on = "watch";
    for (
      const fault of [
        { kind: "drop", bytes: 10 },
        { kind: "silent", bytes: 10 },
        { kind: "hang" },
        { kind: "split", bytes: 7 },
        { kind: "status", status: 410 },
      ] as const
    ) {
      api.faults.push({ on, of: "Service", fault });
      api.breakWatches();
      api.put(rawService(`after-${fault.kind}`));
      await running.converged(api);
    }
    api.faults.push({ on: "list", of: "Service", fault: { kind: "drop", bytes: 500 } });
    api.faults.push({ on, of: "Service", fault: { kind: "status", status: 410 } });
    api.breakWatches();
    api.put(rawService("last"));
    await running.converged(api);
  },
});

Deno.test({
  ...requires("Without verification, too, a client certificate is shown", "openssl"),
  async fn() {
    await using server = await Server.start();
    const { pki } = server;
    await pki.certificate("me", "ca");
    const tls = { ...await pki.pair("server"), ca: await pki.read("ca.crt") };
    const { createServer } = await import("node:https");
    const listener = createServer(
      { ...tls, requestCert: true, rejectUnauthorized: false },
      (request, response) => {
        const { subject } = (request.socket as import("node:tls").TLSSocket).getPeerCertificate();
        response.end(subject?.CN ?? "nobody");
      },
    );
    await new Promise<void>((resolve) => listener.listen(0, HERE, resolve));
    const { port } = listener.address() as { port: number };
    try {
      const cluster = { ...INSECURE, server: `https://${HERE}:${port}` };
      const user = { "client-certificate": "me.crt", "client-key": "me.key" };
      assert.equal(await server.ask(cluster, user), "me");
      assert.equal(await server.ask(cluster), "nobody");
    } finally {
      await new Promise((resolve) => listener.close(resolve));
    }
  },
});

Deno.test("A SOCKS proxy is told names and addresses, and its reasons are told", async () => {
  const echo = Deno.listen({ hostname: HERE, port: 0 });
  const onward = echo.addr as Deno.NetAddr;
  const serving = (async () => {
    for await (const connection of echo) connection.close();
  })();
  {
    await using proxy = new SocksProxy({ onward });
    const route = { proxyUrl: `socks5://${proxy.host}` };
    for (const hostname of ["api.test", "192.0.2.1", "2001:db8::1"]) {
      const connection = await dial({ hostname, port: 6443 }, route);
      assert.equal(await connection.read(new Uint8Array(1)), null, "it leads onward");
      connection.close();
    }
    assert.deepEqual(proxy.targets, ["api.test 6443", "192.0.2.1 6443", "2001:db8::1 6443"]);
  }
  for (
    const [options, expected] of [
      [{ reply: 5 }, "it cannot connect: connection refused"],
      [{ reply: 99 }, "it cannot connect: reply 99"],
      [{ login: "me:secret" }, "it wants a login that is not given"],
    ] as const
  ) {
    await using proxy = new SocksProxy({ ...options, onward });
    const proxyUrl = `socks5://${proxy.host}`;
    await assert.rejects(
      dial({ hostname: "api.test", port: 6443 }, { proxyUrl }),
      { message: `proxy-url ${proxyUrl}: ${expected}` },
    );
  }
  await using proxy = new SocksProxy({ login: "me:secret", onward });
  const proxyUrl = `socks5://me:other@${proxy.host}`;
  await assert.rejects(
    dial({ hostname: "api.test", port: 6443 }, { proxyUrl }),
    { message: `proxy-url socks5://${proxy.host}: it refuses this user and password` },
  );
  echo.close();
  await serving;
});
