/** A source at work on an API server double, and what it has told. */

import assert from "node:assert/strict";
import { type ClusterObject, type Node, objectKey } from "../../../src/cluster/objects.ts";
import { formatProblem } from "../../../src/cluster/source.ts";
import type { AccessOptions } from "../../../src/cluster/kubernetes/access.ts";
import {
  ApiClient,
  type ApiTransport,
  type ClientOptions,
} from "../../../src/cluster/kubernetes/api_client.ts";
import { ApiFailure } from "../../../src/cluster/kubernetes/failure.ts";
import { DEFAULT_LIMITS, type ReflectorLimits } from "../../../src/cluster/kubernetes/reflector.ts";
import { KubernetesSource } from "../../../src/cluster/kubernetes/source.ts";
import { systemTiming, type Timing } from "../../../src/cluster/kubernetes/timing.ts";
import type { ApiDouble } from "./api_double.ts";
import type { RawObject } from "./api_state.ts";
import { PATIENCE_MS } from "../../until.ts";

/** Real time that runs faster: what waits for a second waits for some milliseconds. */
export function fastTiming(factor = 100): Timing {
  return {
    now: () => systemTiming.now() * factor,
    after: (ms, callback) => systemTiming.after(ms / factor, callback),
    random: Math.random,
  };
}

/** The body of an answer, or the message of the failure. */
export async function ask(
  options: AccessOptions & ClientOptions,
  path = "/version",
): Promise<string> {
  let client: ApiClient | undefined;
  try {
    client = await ApiClient.open(options);
    const signal = new AbortController().signal;
    const body = await client.get({ path, answerMs: 5000, idleMs: 5000, signal });
    let text = "";
    for await (const chunk of body) text += new TextDecoder().decode(chunk);
    return text;
  } catch (error) {
    assert(error instanceof ApiFailure, `${error}`);
    return error.message;
  } finally {
    client?.close();
  }
}

/** Small pages; and more patience, since a busy machine may not answer within 0.3 s. */
export const FAST_LIMITS: ReflectorLimits = {
  ...DEFAULT_LIMITS,
  pageSize: 3,
  answerMs: 60_000,
  listIdleMs: 60_000,
};

export function rawService(name: string, more: Record<string, unknown> = {}): RawObject {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: "default" },
    spec: { type: "ClusterIP", clusterIP: "10.96.0.1", ports: [{ port: 80, protocol: "TCP" }] },
    ...more,
  };
}

export function rawSlice(name: string, addresses: readonly string[]): RawObject {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name, namespace: "default", labels: { "kubernetes.io/service-name": "web" } },
    addressType: "IPv4",
    endpoints: addresses.map((address) => ({ addresses: [address], conditions: { ready: true } })),
    ports: [{ name: "", port: 8080, protocol: "TCP" }],
  };
}

export function rawNode(name: string, labels: Record<string, string> = {}): RawObject {
  return { apiVersion: "v1", kind: "Node", metadata: { name, labels } };
}

export interface RunningOptions {
  readonly nodeName?: string;
  readonly serviceCIDRs?: boolean;
  readonly timing?: Timing;
  readonly limits?: ReflectorLimits;
  readonly transport?: ApiTransport;
  readonly nodeGraceMs?: number;
  readonly isNodeReady?: (node: Node) => boolean;
}

export class RunningSource implements AsyncDisposable {
  readonly objects = new Map<string, ClusterObject>();
  readonly batches: string[][] = [];
  problems: readonly string[] = [];
  #failure: unknown = null;
  readonly #abort = new AbortController();
  readonly #api: ApiDouble;
  readonly #transport: ApiTransport;
  readonly done: Promise<void>;

  private constructor(api: ApiDouble, transport: ApiTransport, options: RunningOptions) {
    this.#api = api;
    this.#transport = transport;
    const source = new KubernetesSource({
      timing: fastTiming(),
      limits: FAST_LIMITS,
      ...options,
      transport,
    });
    this.done = source.run({
      changed: (changes) => {
        this.batches.push(
          changes.map(({ action, object }) =>
            `${action} ${object.kind} ${objectKey(object)} ${object.metadata.resourceVersion}`
          ),
        );
        for (const { action, object } of changes) this.#take(action, object);
      },
      problems: (problems) => {
        const { server } = transport;
        this.problems = problems.map((one) => formatProblem(one).replace(server, ""));
      },
    }, this.#abort.signal);
    this.done.catch((error) => this.#failure = error);
  }

  static async on(api: ApiDouble, options: RunningOptions = {}): Promise<RunningSource> {
    const { timing = fastTiming() } = options;
    const transport = options.transport ?? await ApiClient.open({ master: api.url }, timing);
    return new RunningSource(api, transport, options);
  }

  /** A change that changes nothing, or deletes what is not there, is a mistake. */
  #take(action: "apply" | "delete", object: ClusterObject): void {
    const key = `${object.kind} ${objectKey(object)}`;
    if (action === "delete") {
      assert.equal(this.objects.get(key), object, `${key}: not the form that was told last`);
      const gone = this.#api.collection(object.kind).wasGone(objectKey(object), isProxied);
      assert(gone, `${key}: told as deleted, and was there all the time`);
      this.objects.delete(key);
      return;
    }
    const before = this.objects.get(key)?.metadata;
    const same = before?.resourceVersion === object.metadata.resourceVersion &&
      before?.uid === object.metadata.uid;
    assert(before === undefined || !same, `${key}: told again without a change`);
    this.objects.set(key, object);
  }

  /** "Kind namespace/name version" of everything, sorted. */
  state(): string[] {
    return [...this.objects].map(([key, object]) => `${key} ${object.metadata.resourceVersion}`)
      .sort();
  }

  /** Ends it; the result of `run`. */
  stop(): Promise<void> {
    this.#abort.abort();
    return this.done;
  }

  /** Waits until a condition holds. */
  async until(condition: () => boolean, what = String(condition)): Promise<void> {
    const end = performance.now() + PATIENCE_MS;
    while (!condition()) {
      if (this.#failure !== null) throw this.#failure;
      assert(performance.now() < end, `not in time: ${what}; ${this.problems.join("; ")}`);
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  /** Waits until what was told equals what the server has. */
  async converged(api: ApiDouble): Promise<void> {
    await this.until(
      () => this.batches.length > 0 && this.state().join() === serverState(api).join(),
      "the state of the server",
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#failure === null) await this.stop();
    if (this.#transport instanceof ApiClient) this.#transport.close();
  }
}

function isProxied({ metadata: { labels = {} } }: RawObject): boolean {
  return !("service.kubernetes.io/service-proxy-name" in labels) &&
    !("service.kubernetes.io/headless" in labels);
}

/** What a source without a node should know. */
function serverState(api: ApiDouble): string[] {
  return ["Service", "EndpointSlice"].flatMap((kind) => [...api.collection(kind).objects])
    .filter(isProxied)
    .map(({ kind, metadata }) =>
      `${kind} ${metadata.namespace}/${metadata.name} ${metadata.resourceVersion}`
    ).sort();
}
