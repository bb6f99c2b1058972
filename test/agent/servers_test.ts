import assert from "node:assert/strict";
import { type ServerConfig, startServers } from "../../src/agent/servers.ts";
import { Metrics } from "../../src/api/metrics.ts";
import { ListenError, type RunningServer, serve } from "../../src/api/server.ts";
import { UsageError } from "../../src/config/usage.ts";
import { FixedState } from "../api/fixtures.ts";
import { exchange, getRequest, statusOf } from "../api/raw_http.ts";
import { FakeClock } from "./fake_clock.ts";

const ANY = { host: "127.0.0.1", port: 0 };

function config(more: Partial<ServerConfig> = {}): ServerConfig {
  return {
    healthzBindAddress: ANY,
    metricsBindAddress: ANY,
    apiBindAddress: ANY,
    apiUnixSocket: null,
    apiTokenFile: null,
    bindAddressHardFail: false,
    ...more,
  };
}

const start = (more?: Partial<ServerConfig>, clock?: FakeClock) =>
  startServers(config(more), new FixedState(), new Metrics(["IPv4"], "1"), { clock });

async function status(server: RunningServer | null, path: string, token?: string) {
  assert.ok(server !== null, "it does not listen");
  const headers: HeadersInit = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const url = `http://127.0.0.1:${server.address.port}${path}`;
  const response = await fetch(url, { headers });
  await response.body?.cancel();
  return response.status;
}

async function occupied<T>(test: (taken: RunningServer) => Promise<T>): Promise<T> {
  const other = serve(ANY, () => new Response("other", { status: 418 }));
  try {
    return await test(other);
  } finally {
    await other.stop();
  }
}

async function withTokenFile<T>(text: string, test: (file: string) => Promise<T>): Promise<T> {
  const file = await Deno.makeTempFile();
  try {
    await Deno.writeTextFile(file, text);
    return await test(file);
  } finally {
    await Deno.remove(file);
  }
}

Deno.test("each address answers its own paths, and none after the stop", async () => {
  const servers = await start();
  assert.equal(await status(servers.healthz, "/livez"), 200);
  assert.equal(await status(servers.metrics, "/proxyMode"), 200);
  assert.equal(await status(servers.api, "/api/v1/services"), 200);
  assert.equal(await status(servers.healthz, "/api/v1/services"), 404);
  const { api, healthz } = servers;
  await servers.stop();
  await assert.rejects(status(api, "/healthz"));
  await assert.rejects(status(healthz, "/healthz"));
});

Deno.test("0.0.0.0 is every address of IPv6 too, but for the API", async () => {
  const all = { host: "0.0.0.0", port: 0 };
  const servers = await start({ healthzBindAddress: all, metricsBindAddress: all });
  const asked = (server: RunningServer | null, path: string, host: string) =>
    fetch(`http://${host}:${server!.address.port}${path}`).then(async (response) => {
      await response.body?.cancel();
      return response.status;
    });
  try {
    const hasIPv6 = Deno.networkInterfaces().some(({ address }) => address === "::1");
    for (const host of ["127.0.0.1", ...hasIPv6 ? ["[::1]"] : []]) {
      assert.equal(await asked(servers.healthz, "/healthz", host), 200, host);
      assert.equal(await asked(servers.metrics, "/proxyMode", host), 200, host);
    }
    assert.equal(servers.api!.address.host, "127.0.0.1");
  } finally {
    await servers.stop();
  }
});

Deno.test("an empty address is not served", async () => {
  const servers = await start({ healthzBindAddress: null, metricsBindAddress: null });
  assert.equal(servers.healthz, null);
  assert.equal(servers.metrics, null);
  await servers.stop();
});

Deno.test("the API's address must be had", () =>
  occupied(async (taken) => {
    await assert.rejects(start({ apiBindAddress: taken.address }), ListenError);
  }));

Deno.test("an address of the health server that is in use is tried until it is free", async () => {
  const clock = new FakeClock();
  const [servers, address] = await occupied(async (taken) => {
    const servers = await start({ healthzBindAddress: taken.address }, clock);
    assert.equal(servers.healthz, null);
    assert.equal(await status(servers.metrics, "/metrics"), 200);
    await clock.advance(5000);
    assert.equal(servers.healthz, null);
    return [servers, taken.address] as const;
  });
  await clock.advance(5000);
  assert.deepEqual(servers.healthz?.address, address);
  assert.equal(await status(servers.healthz, "/healthz"), 200);
  await servers.stop();
  assert.equal(clock.pendingTimers, 0);
});

Deno.test("with --bind-address-hard-fail that is fatal, and nothing is left listening", () =>
  occupied(async (taken) => {
    const free = serve(ANY, () => new Response(""));
    const apiBindAddress = free.address;
    await free.stop();
    const given = { metricsBindAddress: taken.address, bindAddressHardFail: true, apiBindAddress };
    await assert.rejects(start(given), ListenError);
    await serve(apiBindAddress, () => new Response("")).stop();
  }));

Deno.test("the token is that of the file", () =>
  withTokenFile("0123456789abcdef\n", async (apiTokenFile) => {
    const servers = await start({ apiTokenFile });
    assert.equal(await status(servers.api, "/api/v1/services"), 401);
    assert.equal(await status(servers.api, "/api/v1/services", "0123456789abcdef"), 200);
    assert.equal(await status(servers.healthz, "/healthz"), 200);
    await servers.stop();
  }));

Deno.test("a token file that cannot be used is bad usage", async () => {
  for (const text of ["", "short", "two tokens 0123456789"]) {
    await withTokenFile(text, async (apiTokenFile) => {
      await assert.rejects(start({ apiTokenFile }), UsageError);
    });
  }
  await assert.rejects(start({ apiTokenFile: "/nowhere/token" }), (error) => {
    assert.ok(error instanceof UsageError);
    assert.equal(error.message, '--api-token-file "/nowhere/token": there is no such file');
    return true;
  });
});

Deno.test("the API answers on a Unix socket too, and without an address", async () => {
  const folder = await Deno.makeTempDir();
  const apiUnixSocket = `${folder}/api.sock`;
  try {
    await withTokenFile("0123456789abcdef\n", async (apiTokenFile) => {
      const servers = await start({ apiUnixSocket, apiTokenFile });
      assert.equal(servers.apiSocket!.path, apiUnixSocket);
      const connection = await Deno.connect({ transport: "unix", path: apiUnixSocket });
      const answer = await exchange(connection, getRequest("/api/v1/node", "node"));
      assert.equal(statusOf(answer), 200);
      await servers.stop();
      await assert.rejects(Deno.lstat(apiUnixSocket), Deno.errors.NotFound);
    });
    const servers = await start({ apiUnixSocket, apiBindAddress: null });
    assert.equal(servers.api, null);
    await assert.rejects(start({ apiUnixSocket }), ListenError);
    await servers.stop();
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
