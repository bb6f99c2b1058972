/** API servers for agents under test, which misbehave when told to: the double, or the real one. */

import type { Random } from "../../fuzz/random.ts";
import { ApiDouble, type Fault } from "../../cluster/kubernetes/api_double.ts";
import type { RawObject } from "../../cluster/kubernetes/api_state.ts";
import { RealApi } from "../../cluster/kubernetes/real_api.ts";

/** What a test needs of an API server. */
export interface TestApiServer extends AsyncDisposable {
  /** How an agent finds it. */
  readonly flags: readonly string[];
  put(object: RawObject): Promise<void>;
  remove(kind: string, name: string): Promise<void>;
  /** Something that happens to API servers; a line that says what. */
  disturb(random: Random): Promise<string>;
}

/** Objects are of the namespace "default". */
const NAMESPACE = "default";

export class DoubleServer implements TestApiServer {
  readonly #api = new ApiDouble({ bookmarkMs: 1000 });

  get flags(): readonly string[] {
    return [`--master=${this.#api.url}`];
  }

  put(object: RawObject): Promise<void> {
    this.#api.put({ ...object, metadata: { ...object.metadata, namespace: NAMESPACE } });
    return Promise.resolve();
  }

  remove(kind: string, name: string): Promise<void> {
    this.#api.remove(kind, `${NAMESPACE}/${name}`);
    return Promise.resolve();
  }

  async disturb(random: Random): Promise<string> {
    const faults: readonly Fault[] = [
      { kind: "status", status: random.pick([410, 429, 500, 503]), retryAfter: 1 },
      { kind: "drop", bytes: random.below(2000) },
      { kind: "end", bytes: random.below(2000) },
      { kind: "split", bytes: 1 + random.below(50) },
      { kind: "slow", ms: random.below(2000) },
      { kind: "foreign", status: 502, body: "<html>bad gateway</html>" },
      { kind: "line", text: '{"type":"ERROR","object":{"kind":"Status","code":410}}' },
    ];
    const fault = random.pick(faults);
    switch (random.below(5)) {
      case 0: {
        await this.#api.stop();
        await new Promise((resolve) => setTimeout(resolve, random.below(1500)));
        this.#api.start();
        return "restarted";
      }
      case 1:
        this.#api.compact();
        this.#api.breakWatches();
        return "compacted, watches broken";
      case 2:
        this.#api.endWatches();
        return "watches ended";
      default:
        this.#api.faults.push({ on: random.pick(["list", "watch"] as const), fault });
        this.#api.breakWatches();
        return `watches broken, then ${JSON.stringify(fault)}`;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#api[Symbol.asyncDispose]();
  }
}

const PATHS: Readonly<Record<string, string>> = {
  Service: `/api/v1/namespaces/${NAMESPACE}/services`,
  EndpointSlice: `/apis/discovery.k8s.io/v1/namespaces/${NAMESPACE}/endpointslices`,
};

/** etcd and kube-apiserver from the folder that KUBEBUILDER_ASSETS names. */
export class RealServer implements TestApiServer {
  readonly api: RealApi;
  readonly kubeconfig: string;
  readonly #known = new Set<string>();

  private constructor(api: RealApi, kubeconfig: string) {
    this.api = api;
    this.kubeconfig = kubeconfig;
  }

  static async start(): Promise<RealServer> {
    const api = await RealApi.start();
    return new RealServer(api, await api.kubeconfig());
  }

  get flags(): readonly string[] {
    return [`--kubeconfig=${this.kubeconfig}`];
  }

  async put(object: RawObject): Promise<void> {
    const { kind, metadata: { name } } = object;
    const path = PATHS[kind];
    if (this.#known.has(`${kind} ${name}`)) {
      await this.api.request("PATCH", `${path}/${name}`, object);
    } else {
      await this.api.request("POST", path, object);
      this.#known.add(`${kind} ${name}`);
    }
  }

  async remove(kind: string, name: string): Promise<void> {
    await this.api.request("DELETE", `${PATHS[kind]}/${name}`);
    this.#known.delete(`${kind} ${name}`);
  }

  async disturb(random: Random): Promise<string> {
    await this.api.killServer();
    await new Promise((resolve) => setTimeout(resolve, random.below(1500)));
    await this.api.startServer();
    return "killed and started again";
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.api[Symbol.asyncDispose]();
  }
}
