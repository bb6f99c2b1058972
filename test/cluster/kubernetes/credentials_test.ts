import assert from "node:assert/strict";
import { type Credentials, CredentialStore } from "../../../src/cluster/kubernetes/credentials.ts";
import { systemTiming, type Timing } from "../../../src/cluster/kubernetes/timing.ts";

class Fixture implements AsyncDisposable {
  time = 0;
  readonly folder: string;
  readonly store: CredentialStore;

  private constructor(folder: string) {
    this.folder = folder;
    const timing: Timing = { ...systemTiming, now: () => this.time };
    this.store = new CredentialStore({ kubeconfig: `${folder}/config` }, timing);
  }

  static async create(user: unknown, cluster: Record<string, unknown> = {}): Promise<Fixture> {
    const fixture = new Fixture(await Deno.makeTempDir());
    await fixture.write(
      "config",
      JSON.stringify({
        clusters: [{ name: "c", cluster: { server: "https://127.0.0.1:1", ...cluster } }],
        users: [{ name: "u", user }],
        contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
        "current-context": "x",
      }),
    );
    return fixture;
  }

  write(name: string, text: string, mode = 0o600): Promise<void> {
    return Deno.writeTextFile(`${this.folder}/${name}`, text, { mode });
  }

  async header(name: string): Promise<string | undefined> {
    const { headers } = await this.store.current();
    return headers.find(([one]) => one === name)?.[1];
  }

  async refusal(): Promise<string> {
    const error = await this.store.current().then(() => null, (error) => error);
    assert(error instanceof Error, "expected a refusal");
    return error.message.replaceAll(`${this.folder}/`, "");
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Deno.remove(this.folder, { recursive: true });
  }
}

Deno.test("A token file stands over a token, is trimmed, and is read again", async () => {
  await using fixture = await Fixture.create({ tokenFile: "token", token: "other" });
  await fixture.write("token", "one\n");
  assert.equal(await fixture.header("authorization"), "Bearer one");
  await fixture.write("token", "two\n");
  fixture.time += 29_000;
  assert.equal(await fixture.header("authorization"), "Bearer one");
  fixture.time += 2_000;
  assert.equal(await fixture.header("authorization"), "Bearer two");
});

Deno.test("Refused credentials are read again at once, but only if they are the current ones", async () => {
  await using fixture = await Fixture.create({ tokenFile: "token" });
  await fixture.write("token", "one");
  const first = await fixture.store.current();
  await fixture.write("token", "two");
  fixture.store.refuse(first);
  const second = await fixture.store.current();
  assert.deepEqual(second.headers, [["authorization", "Bearer two"]]);
  await fixture.write("token", "three");
  fixture.store.refuse(first);
  assert.equal(await fixture.store.current(), second);
});

Deno.test("A kubeconfig is read again when its credentials are refused", async () => {
  await using fixture = await Fixture.create({ token: "one" });
  const first: Credentials = await fixture.store.current();
  const text = await Deno.readTextFile(`${fixture.folder}/config`);
  await fixture.write("config", text.replace('"one"', '"two"'));
  fixture.store.refuse(first);
  assert.equal(await fixture.header("authorization"), "Bearer two");
});

Deno.test("Name and password, certificates as data, and impersonation", async () => {
  const data = new TextEncoder().encode("PEM").toBase64();
  await using fixture = await Fixture.create({
    username: "me",
    password: "pä",
    "client-certificate": "/nowhere",
    "client-certificate-data": data,
    "client-key-data": data,
    as: "them",
    "as-groups": ["a", "b"],
    "as-user-extra": { "acme.com/team": ["x"] },
  }, { "certificate-authority-data": data, "proxy-url": "socks5://127.0.0.1:1080" });
  assert.deepEqual(await fixture.store.current(), {
    server: "https://127.0.0.1:1",
    ca: "PEM",
    cert: "PEM",
    key: "PEM",
    tlsServerName: undefined,
    insecure: false,
    proxyUrl: "socks5://127.0.0.1:1080",
    headers: [
      ["impersonate-user", "them"],
      ["impersonate-group", "a"],
      ["impersonate-group", "b"],
      ["impersonate-extra-acme.com%2Fteam", "x"],
      ["authorization", "Basic bWU6cMOk"],
    ],
  });
});

Deno.test("What cannot be used says why, in one line, and without the secret", async () => {
  const cases: readonly [unknown, Record<string, unknown>, RegExp][] = [
    [{ tokenFile: "token" }, {}, /^tokenFile token: .*No such file/],
    [{ token: "se cret" }, {}, /^token: expected printable characters without blanks$/],
    [{ "client-key-data": "AAAA" }, {}, /^client-certificate and client-key: expected both/],
    [{}, { "certificate-authority-data": "se$cret" }, /^certificate-authority-data: expected PEM/],
    [{}, { "certificate-authority": "ca.crt" }, /^certificate-authority ca.crt: .*No such file/],
    [
      {},
      { "insecure-skip-tls-verify": true, "certificate-authority": "ca.crt" },
      /^insecure-skip-tls-verify together with certificate-authority: expected one of them/,
    ],
    [{}, { "proxy-url": "ftp://x" }, /^proxy-url: expected http:\/\/, https:\/\/ or socks5:\/\//],
  ];
  for (const [user, cluster, expected] of cases) {
    await using fixture = await Fixture.create(user, cluster);
    const message = await fixture.refusal();
    assert.match(message, expected);
    assert(!message.includes("cret") && !message.includes("\n"), message);
  }
});

const plugin = (script: string, more: Record<string, unknown> = {}) => ({
  exec: {
    apiVersion: "client.authentication.k8s.io/v1",
    command: "./plugin",
    args: ["login"],
    env: [{ name: "WHO", value: "me" }],
    provideClusterInfo: true,
    ...more,
  },
  script: `#!/bin/sh\n${script}\n`,
});

Deno.test(
  "An exec plugin's token is kept until it ends or is refused",
  async () => {
    const { exec, script } = plugin(
      'echo x >> "$(dirname "$0")/calls"\n' +
        'printf \'{"status":{"token":"%s-%s-%s"}}\' "$1" "$WHO" "$(wc -l < "$(dirname "$0")/calls")"',
    );
    await using fixture = await Fixture.create({ exec });
    await fixture.write("plugin", script, 0o700);
    assert.equal(await fixture.header("authorization"), "Bearer login-me-1");
    fixture.time += 60_000;
    const again = await fixture.store.current();
    assert.deepEqual(again.headers, [["authorization", "Bearer login-me-1"]]);
    fixture.store.refuse(again);
    assert.equal(await fixture.header("authorization"), "Bearer login-me-2");
  },
);

Deno.test("An exec plugin is told of the cluster, and may give a certificate", async () => {
  const { exec, script } = plugin(
    'printf \'%s\' "$KUBERNETES_EXEC_INFO" > "$(dirname "$0")/info"\n' +
      'echo \'{"status":{"clientCertificateData":"C","clientKeyData":"K"}}\'',
  );
  await using fixture = await Fixture.create({ exec }, { "tls-server-name": "api.test" });
  await fixture.write("plugin", script, 0o700);
  const { cert, key, tlsServerName } = await fixture.store.current();
  assert.deepEqual([cert, key, tlsServerName], ["C", "K", "api.test"]);
  assert.deepEqual(JSON.parse(await Deno.readTextFile(`${fixture.folder}/info`)), {
    apiVersion: "client.authentication.k8s.io/v1",
    kind: "ExecCredential",
    spec: {
      interactive: false,
      cluster: { server: "https://127.0.0.1:1", "tls-server-name": "api.test" },
    },
  });
});

Deno.test("An exec plugin that fails is named, with its words", async () => {
  const { exec, script } = plugin("echo 'no\nsession' >&2; exit 3");
  await using fixture = await Fixture.create({ exec });
  await fixture.write("plugin", script, 0o700);
  assert.equal(await fixture.refusal(), "exec plugin: no session");
});
