/**
 * A real kube-apiserver with its etcd, on loopback, from the folder that KUBEBUILDER_ASSETS names (the
 * convention of controller tests).
 */

import { Pki } from "./pki.ts";

/** Why there is no real API server here, with these programs too, or null when there is. */
export function missingAssets(...more: readonly string[]): string | null {
  const folder = Deno.env.get("KUBEBUILDER_ASSETS") ?? "";
  if (folder === "") return "KUBEBUILDER_ASSETS is not set";
  for (const name of ["etcd", "kube-apiserver", ...more]) {
    try {
      Deno.statSync(`${folder}/${name}`);
    } catch {
      return `KUBEBUILDER_ASSETS has no ${name}`;
    }
  }
  return null;
}

export class RealApi implements AsyncDisposable {
  readonly pki: Pki;
  readonly #etcdPort = freePort();
  readonly #port = freePort();
  #etcd: Deno.ChildProcess | null = null;
  #server: Deno.ChildProcess | null = null;
  #client: Deno.HttpClient | null = null;

  private constructor(pki: Pki) {
    this.pki = pki;
  }

  static async start(): Promise<RealApi> {
    const api = new RealApi(await Pki.create());
    try {
      await api.pki.authority("ca");
      await api.pki.certificate("server", "ca", "IP:127.0.0.1");
      await api.user("admin", "/O=system:masters/CN=admin");
      await api.pki.certificate("accounts", "ca");
      const { pki } = api;
      api.#client = Deno.createHttpClient({
        caCerts: [await pki.read("ca.crt")],
        cert: await pki.read("admin.crt"),
        key: await pki.read("admin.key"),
        http2: false,
      });
      await api.startEtcd();
      await api.startServer();
      return api;
    } catch (error) {
      await api[Symbol.asyncDispose]();
      throw error;
    }
  }

  get url(): string {
    return `https://127.0.0.1:${this.#port}`;
  }

  /** Makes someone known, as whom {@link kubeconfig} can ask: "/O=GROUP/CN=USER". */
  async user(name: string, subject: string): Promise<void> {
    await this.pki.certificate(name, "ca", undefined, subject);
  }

  /** A kubeconfig with the client certificate of a user, who may do everything if no other is named. */
  async kubeconfig(user = "admin"): Promise<string> {
    const path = this.pki.path(`${user}.config`);
    await Deno.writeTextFile(
      path,
      JSON.stringify({
        clusters: [{
          name: "c",
          cluster: { server: this.url, "certificate-authority": "ca.crt" },
        }],
        users: [{
          name: "u",
          user: { "client-certificate": `${user}.crt`, "client-key": `${user}.key` },
        }],
        contexts: [{ name: "x", context: { cluster: "c", user: "u" } }],
        "current-context": "x",
      }),
    );
    return path;
  }

  async startEtcd(): Promise<void> {
    const own = `http://127.0.0.1:${this.#etcdPort}`;
    const peer = `http://127.0.0.1:${freePort()}`;
    this.#etcd = this.#spawn("etcd", [
      ...["--data-dir", this.pki.path("etcd"), "--unsafe-no-fsync", "--log-level", "error"],
      ...["--listen-client-urls", own, "--advertise-client-urls", own],
      ...["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer],
      ...["--initial-cluster", `default=${peer}`],
    ]);
    await until("etcd", async () => (await fetchQuietly(`${own}/health`))?.ok === true);
  }

  async startServer(): Promise<void> {
    const path = (file: string) => this.pki.path(file);
    this.#server = this.#spawn("kube-apiserver", [
      `--etcd-servers=http://127.0.0.1:${this.#etcdPort}`,
      ...["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1"],
      `--secure-port=${this.#port}`,
      `--cert-dir=${path("certs")}`,
      `--tls-cert-file=${path("server.crt")}`,
      `--tls-private-key-file=${path("server.key")}`,
      `--client-ca-file=${path("ca.crt")}`,
      `--service-account-key-file=${path("accounts.crt")}`,
      `--service-account-signing-key-file=${path("accounts.key")}`,
      "--service-account-issuer=https://api.test",
      "--service-cluster-ip-range=10.96.0.0/16",
      // So that versions are forgotten within the time of a test.
      "--etcd-compaction-interval=5s",
      ...["--authorization-mode=RBAC", "--allow-privileged=true"],
      "--disable-admission-plugins=ServiceAccount",
    ]);
    await until(
      "kube-apiserver",
      async () => (await fetchQuietly(`${this.url}/readyz`, this.#client!))?.ok === true,
    );
    // The server makes these of its own, a moment later.
    for (
      const path of [
        "/api/v1/namespaces/default/services/kubernetes",
        "/apis/networking.k8s.io/v1/servicecidrs/kubernetes",
      ]
    ) {
      const url = this.url + path;
      await until(path, async () => (await fetchQuietly(url, this.#client!))?.ok === true);
    }
  }

  /** As a crash: nothing is said to anyone. */
  async killServer(): Promise<void> {
    await end(this.#server);
    this.#server = null;
  }

  /** A request; the body of the answer. */
  async request(method: string, path: string, body?: unknown): Promise<unknown> {
    const type = method === "PATCH" ? "application/merge-patch+json" : "application/json";
    const response = await fetch(this.url + path, {
      method,
      client: this.#client!,
      headers: { "content-type": type },
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    const answer = await response.json();
    if (!response.ok) throw new Error(`${method} ${path}: ${JSON.stringify(answer)}`);
    return answer;
  }

  /** "Kind namespace/name version" of all Services and EndpointSlices that are proxied, sorted. */
  async state(): Promise<string[]> {
    const selector = "!service.kubernetes.io/service-proxy-name,!service.kubernetes.io/headless";
    const lines: string[] = [];
    for (
      const [kind, path] of [
        ["Service", "/api/v1/services"],
        ["EndpointSlice", "/apis/discovery.k8s.io/v1/endpointslices"],
      ]
    ) {
      const query = `?labelSelector=${encodeURIComponent(selector)}`;
      const list = await this.request("GET", path + query) as {
        items: { metadata: Record<string, string> }[];
      };
      for (const { metadata: { namespace, name, resourceVersion } } of list.items) {
        lines.push(`${kind} ${namespace}/${name} ${resourceVersion}`);
      }
    }
    return lines.sort();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#client?.close();
    await end(this.#server);
    await end(this.#etcd);
    await this.pki[Symbol.asyncDispose]();
  }

  #spawn(name: string, args: string[]): Deno.ChildProcess {
    const program = `${Deno.env.get("KUBEBUILDER_ASSETS")}/${name}`;
    const options = { args, cwd: this.pki.folder, stdin: "null", stdout: "null", stderr: "null" };
    return new Deno.Command(program, options as Deno.CommandOptions).spawn();
  }
}

async function end(child: Deno.ChildProcess | null): Promise<void> {
  try {
    child?.kill("SIGKILL");
  } catch (error) {
    // It had ended.
    if (!(error instanceof TypeError)) throw error;
  }
  await child?.status;
}

function freePort(): number {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  return (listener.addr as Deno.NetAddr).port;
}

async function fetchQuietly(url: string, client?: Deno.HttpClient): Promise<Response | null> {
  try {
    const response = await fetch(url, client === undefined ? {} : { client });
    await response.body?.cancel();
    return response;
  } catch {
    // Not there yet.
    return null;
  }
}

async function until(what: string, condition: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + 240_000;
  while (!await condition()) {
    if (performance.now() > deadline) throw new Error(`${what} did not start`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}
