import assert from "node:assert/strict";
import { type ApiAnswer, ApiClient } from "../../../src/cluster/kubernetes/api_client.ts";
import type { AccessOptions } from "../../../src/cluster/kubernetes/access.ts";
import { requires } from "../../requirements.ts";
import { pass, until } from "../../until.ts";
import { ApiDouble } from "./api_double.ts";
import { ConnectProxy } from "./connect_proxy.ts";
import { ask, fastTiming, rawService, RunningSource } from "./helpers.ts";
import { Pki } from "./pki.ts";

function kubeconfig(pki: Pki, cluster: Record<string, unknown>, user: unknown = {}): AccessOptions {
  const path = pki.path(`config-${crypto.randomUUID()}`);
  Deno.writeTextFileSync(
    path,
    JSON.stringify({
      clusters: [{ name: "c", cluster }],
      users: [{ name: "u", user }],
      contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
      "current-context": "x",
    }),
  );
  return { kubeconfig: path };
}

const GOOD = '{"major":"1"}';

Deno.test("A failure says what the server said, in one line", async () => {
  await using api = new ApiDouble();
  assert.equal(await ask({ master: api.url }), GOOD);
  assert.equal(
    await ask({ master: api.url }, "/apis/x"),
    "status 404: NotFound: NotFound on command",
  );
  const body = "<html>\n<h1>Bad gateway</h1>";
  api.faults.push({ on: "list", fault: { kind: "foreign", status: 502, body } });
  assert.equal(
    await ask({ master: api.url }, "/api/v1/services"),
    "status 502: <html> <h1>Bad gateway</h1>",
  );
});

Deno.test("Every request is told with its answer", async () => {
  const told: string[] = [];
  const answered = ({ method, host, status, durationMs }: ApiAnswer) => {
    assert.ok(durationMs >= 0);
    told.push(`${method} ${host} ${status}`);
  };
  await using api = new ApiDouble();
  const options = { answered };
  await ask({ master: api.url, ...options });
  await ask({ master: api.url, ...options }, "/apis/x");
  await ask({ master: "http://127.0.0.1:1", ...options });
  const { host } = new URL(api.url);
  assert.deepEqual(told, [`GET ${host} 200`, `GET ${host} 404`, "GET 127.0.0.1:1 null"]);
});

Deno.test("A server that is not there is said to refuse the connection", async () => {
  const api = new ApiDouble();
  await api.stop();
  assert.match(await ask({ master: api.url }), /Connection refused/);
});

Deno.test("A rotated token is read again when the old one is refused, and nobody notices", async () => {
  await using pki = await Pki.create();
  await using api = new ApiDouble();
  api.tokens = new Set(["one"]);
  api.put(rawService("s0"));
  await Deno.writeTextFile(pki.path("token"), "one\n");
  const options = kubeconfig(pki, { server: api.url }, { tokenFile: "token" });
  const timing = fastTiming();
  await using running = await RunningSource.on(api, {
    transport: await ApiClient.open(options, timing),
    timing,
  });
  await running.converged(api);
  api.tokens = new Set(["two"]);
  await Deno.writeTextFile(pki.path("token"), "two\n");
  api.breakWatches();
  api.put(rawService("s1"));
  await running.converged(api);
  assert.deepEqual(running.problems, []);
});

Deno.test("A plugin that takes its time holds up neither a request's end nor the source's", async () => {
  await using pki = await Pki.create();
  await using api = new ApiDouble();
  const script = `#!/bin/sh
echo $$ > ${pki.path("pid")}
while [ -e ${pki.path("slow")} ]; do sleep 0.1; done
echo '{"status":{"token":"one"}}'
`;
  await Deno.writeTextFile(pki.path("plugin"), script, { mode: 0o700 });
  const options = kubeconfig(pki, { server: api.url }, { exec: { command: "./plugin" } });
  const timing = fastTiming();
  const transport = await ApiClient.open(options, timing);
  await Deno.writeTextFile(pki.path("slow"), "");
  api.tokens = new Set(["two"]);
  await using running = await RunningSource.on(api, { transport, timing });
  // Its token is refused, so it runs again, now for longer than an answer may take.
  await running.until(() => running.problems.some((one) => one.includes("nothing came for 60 s")));
  await running.stop();
  // The plugin is still at it.
  const plugin = (await Deno.readTextFile(pki.path("pid"))).trim();
  assert.ok(isThere(plugin));
  await Deno.remove(pki.path("slow"));
  await until(() => !isThere(plugin), "the plugin ends");
});

/** Whether there is a process with this id. */
function isThere(pid: string): boolean {
  return new Deno.Command("kill", { args: ["-0", pid], stderr: "null" }).outputSync().success;
}

Deno.test("Credentials that stay refused are a problem, and asked for again", async () => {
  await using pki = await Pki.create();
  await using api = new ApiDouble();
  api.tokens = new Set(["one"]);
  const options = kubeconfig(pki, { server: api.url }, { token: "other" });
  await using running = await RunningSource.on(api, {
    transport: await ApiClient.open(options, fastTiming()),
  });
  await running.until(() => running.problems.length === 2);
  assert.match(running.problems[0], /cannot list, trying again: status 401: Unauthorized/);
  assert.deepEqual(running.batches, []);
  api.tokens = null;
  await running.converged(api);
});

Deno.test({
  ...requires(
    "A server is believed if its CA, or a rotated one, has signed for its name",
    "openssl",
  ),
  async fn() {
    await using pki = await Pki.create();
    await using api = new ApiDouble({ tls: await pki.server("IP:127.0.0.1") });
    await pki.authority("other");
    const trusting = (file: string) =>
      kubeconfig(pki, { server: api.url, "certificate-authority": file });
    assert.equal(await ask(trusting("ca.crt")), GOOD);
    assert.match(await ask(trusting("other.crt")), /invalid peer certificate|certificate/);
    assert.match(await ask({ master: api.url }), /invalid peer certificate|certificate/);
    const bundle = `other\n${await pki.read("other.crt")}\nours\n${await pki.read("ca.crt")}`;
    await Deno.writeTextFile(pki.path("bundle.crt"), bundle);
    assert.equal(await ask(trusting("bundle.crt")), GOOD);
    await Deno.writeTextFile(pki.path("bundle.crt"), "nothing");
    await assert.rejects(
      ApiClient.open(trusting("bundle.crt")),
      /certificate-authority: expected certificates in PEM/,
    );
  },
});

Deno.test({
  ...requires("A rotated CA is taken up while running", "openssl"),
  async fn() {
    await using pki = await Pki.create();
    await pki.authority("old");
    await pki.authority("new");
    await pki.certificate("first", "old", "IP:127.0.0.1");
    await pki.certificate("second", "new", "IP:127.0.0.1");
    const api = new ApiDouble({ tls: await pki.pair("first") });
    api.put(rawService("s0"));
    await Deno.copyFile(pki.path("old.crt"), pki.path("ca.crt"));
    const options = kubeconfig(pki, { server: api.url, "certificate-authority": "ca.crt" });
    const timing = fastTiming();
    const transport = await ApiClient.open(options, timing);
    await using running = await RunningSource.on(api, { transport, timing });
    await running.converged(api);
    await running.until(() => api.openWatches === 2, "two watches");
    // First both are believed: requests that are under way with the old one go on.
    const both = await pki.read("old.crt") + await pki.read("new.crt");
    await Deno.writeTextFile(pki.path("ca.crt"), both);
    await pass(400);
    const signal = new AbortController().signal;
    for await (
      const _ of await transport.get({ path: "/version", answerMs: 30_000, idleMs: 30_000, signal })
    );
    api.put(rawService("s1"));
    await running.converged(api);
    assert.equal(api.requests.filter((one) => one === "watch Service").length, 1);
    // Then the old one is gone before we know of it.
    await Deno.copyFile(pki.path("old.crt"), pki.path("ca.crt"));
    await pass(400);
    await api.stop();
    await using after = new ApiDouble({
      tls: await pki.pair("second"),
      port: Number(new URL(api.url).port),
    });
    for (let i = 0; i < 3; i++) after.put(rawService("s0"));
    after.put(rawService("s1"));
    await running.until(() => running.problems.some((one) => one.includes("certificate")));
    await Deno.copyFile(pki.path("new.crt"), pki.path("ca.crt"));
    await running.converged(after);
  },
});

Deno.test({
  ...requires("A pod follows the API with its service account", "openssl"),
  async fn() {
    await using pki = await Pki.create();
    await using api = new ApiDouble({ tls: await pki.server("IP:127.0.0.1") });
    api.tokens = new Set(["one"]);
    api.put(rawService("s0"));
    await Deno.writeTextFile(pki.path("token"), "one");
    const { hostname, port } = new URL(api.url);
    const env = (name: string) =>
      ({ KUBERNETES_SERVICE_HOST: hostname, KUBERNETES_SERVICE_PORT: port })[name];
    const timing = fastTiming();
    await using running = await RunningSource.on(api, {
      transport: await ApiClient.open({ serviceAccountFolder: pki.folder, env }, timing),
      timing,
    });
    await running.converged(api);
  },
});

Deno.test({
  ...requires("tls-server-name is the name that is asked for and verified", "openssl"),
  async fn() {
    await using pki = await Pki.create();
    await using api = new ApiDouble({ tls: await pki.server("DNS:api.test") });
    const cluster = { server: api.url, "certificate-authority": "ca.crt" };
    assert.match(await ask(kubeconfig(pki, cluster)), /certificate/);
    const named = { ...cluster, "tls-server-name": "api.test" };
    assert.equal(await ask(kubeconfig(pki, named)), GOOD);
    const misnamed = { ...cluster, "tls-server-name": "other.test" };
    assert.match(await ask(kubeconfig(pki, misnamed)), /certificate/);
    await using plain = new ApiDouble();
    const unneeded = { server: plain.url, "tls-server-name": "api.test" };
    assert.equal(await ask(kubeconfig(pki, unneeded)), GOOD, "without TLS it means nothing");
  },
});

Deno.test({
  ...requires("A proxy-url is the way to the server", "openssl"),
  async fn() {
    await using pki = await Pki.create();
    await using api = new ApiDouble({ tls: await pki.server("IP:127.0.0.1") });
    await using proxy = new ConnectProxy();
    const cluster = { server: api.url, "certificate-authority": "ca.crt", "proxy-url": proxy.url };
    assert.equal(await ask(kubeconfig(pki, cluster)), GOOD);
    assert.deepEqual(proxy.targets, [new URL(api.url).host]);
  },
});

Deno.test({
  ...requires("A client certificate is shown to a server that asks for one", "openssl"),
  async fn() {
    await using pki = await Pki.create();
    await pki.server("IP:127.0.0.1");
    await pki.certificate("me", "ca");
    const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
    const { port } = listener.addr as Deno.NetAddr;
    listener.close();
    const args = ["s_server", "-accept", `127.0.0.1:${port}`, "-www", "-Verify", "1"];
    args.push("-verify_return_error", "-CAfile", "ca.crt", "-cert", "server.crt");
    args.push("-key", "server.key", "-naccept", "2");
    const ending = new AbortController();
    const server = new Deno.Command("openssl", {
      ...{ args, cwd: pki.folder, signal: ending.signal },
      ...{ stdin: "null", stdout: "piped", stderr: "null" },
    }).spawn();
    const output = server.stdout.pipeThrough(new TextDecoderStream()).getReader();
    try {
      // It says ACCEPT when it listens, and may say other things before.
      for (let said = ""; !said.includes("ACCEPT");) {
        const { value, done } = await output.read();
        assert.ok(!done, `openssl ended: ${said}`);
        said += value;
      }
      const cluster = { server: `https://127.0.0.1:${port}`, "certificate-authority": "ca.crt" };
      const user = { "client-certificate": "me.crt", "client-key": "me.key" };
      assert.match(await ask(kubeconfig(pki, cluster, user), "/"), /CN ?= ?me\b/);
      assert.match(await ask(kubeconfig(pki, cluster), "/"), /CertificateRequired|certificate/i);
    } finally {
      await output.cancel();
      ending.abort();
      await server.status;
    }
  },
});
