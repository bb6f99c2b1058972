/** Cluster state from the Kubernetes API. @module */

import { getLogger } from "@logtape/logtape";
import type { Node } from "../objects.ts";
import type { ClusterChange, ClusterListener, ClusterProblem, ClusterSource } from "../source.ts";
import { formatProblem } from "../source.ts";
import type { ApiTransport } from "./api_client.ts";
import { OwnNode } from "./own_node.ts";
import { DEFAULT_LIMITS, Reflector, type ReflectorLimits } from "./reflector.ts";
import {
  ENDPOINT_SLICES,
  nodeResource,
  type Resource,
  SERVICE_CIDRS,
  SERVICES,
} from "./resources.ts";
import { sleep, systemTiming, type Timing } from "./timing.ts";

const logger = getLogger(["switchyard", "kubernetes"]);

/** How a {@link KubernetesSource} reaches the API, and what it follows. */
export interface KubernetesSourceOptions {
  readonly transport: ApiTransport;
  /** This node; absent: no Node is followed. */
  readonly nodeName?: string;
  /** Follow ServiceCIDRs too, where the server has them. */
  readonly serviceCIDRs?: boolean;
  readonly timing?: Timing;
  readonly limits?: ReflectorLimits;
  /**
   * The initial state waits this long for the Node and ServiceCIDRs when everything else is in,
   * milliseconds.
   */
  readonly nodeGraceMs?: number;
  /** Whether the Node says what is needed of it by then; absent: it need not even be there. */
  readonly isNodeReady?: (node: Node) => boolean;
}

const NODE_GRACE_MS = 5_000;

/**
 * Services, EndpointSlices, ServiceCIDRs and this node, as an API server tells them. The initial state comes when
 * the first lists of Services and of EndpointSlices are both complete; from then on, each change.
 *
 * It never gives up: while the API is away, what was told before still stands, and a problem says
 * why. When it is back, what was deleted in between is told as deleted; but this node stays as it was
 * last known.
 */
export class KubernetesSource implements ClusterSource {
  readonly #options: KubernetesSourceOptions;

  constructor(options: KubernetesSourceOptions) {
    this.#options = options;
  }

  /** Resolves when the signal aborts; rejects only if the listener throws. */
  async run(listener: ClusterListener, signal: AbortSignal): Promise<void> {
    const run = new Run(this.#options, listener);
    await run.until(signal);
  }
}

/** One run of a source. */
class Run {
  readonly #options: KubernetesSourceOptions;
  readonly #listener: ClusterListener;
  readonly #timing: Timing;
  readonly #required: readonly Reflector[];
  readonly #all: readonly Reflector[];
  readonly #ownNode = new OwnNode();
  readonly #abort = new AbortController();
  /** Resolves when what is required is in, or the run ends. */
  readonly #requiredIn = Promise.withResolvers<void>();
  #delivering = false;
  #problems = "";

  constructor(options: KubernetesSourceOptions, listener: ClusterListener) {
    this.#options = options;
    this.#listener = listener;
    this.#timing = options.timing ?? systemTiming;
    this.#required = [this.#reflector(SERVICES), this.#reflector(ENDPOINT_SLICES)];
    const { nodeName, serviceCIDRs = false } = options;
    this.#all = [
      ...(nodeName === undefined ? [] : [this.#reflector(nodeResource(nodeName))]),
      ...(serviceCIDRs ? [this.#reflector(SERVICE_CIDRS)] : []),
      ...this.#required,
    ];
  }

  async until(signal: AbortSignal): Promise<void> {
    const stop = () => this.#abort.abort(signal.reason);
    if (signal.aborted) return;
    signal.addEventListener("abort", stop, { once: true });
    this.#abort.signal.addEventListener("abort", () => this.#requiredIn.resolve());
    const running = this.#all.map((reflector) => reflector.run(this.#abort.signal));
    running.push(this.#waitForOptional());
    try {
      await Promise.all(running);
    } finally {
      signal.removeEventListener("abort", stop);
      // One that rejected takes the others along.
      this.#abort.abort();
      await Promise.allSettled(running);
    }
  }

  #reflector(resource: Resource): Reflector {
    const listener = {
      changed: (changes: readonly ClusterChange[]) => this.#changed(changes),
      problemsChanged: () => this.#reportProblems(),
    };
    const { transport, limits = DEFAULT_LIMITS } = this.#options;
    return new Reflector(resource, transport, listener, this.#timing, limits);
  }

  #changed(changes: readonly ClusterChange[]): void {
    if (this.#abort.signal.aborted) return;
    if (this.#delivering) {
      this.#tell(changes);
    } else if (this.#required.every((reflector) => reflector.listed)) {
      this.#requiredIn.resolve();
      const complete = this.#all.every((reflector) => reflector.listed);
      if (complete && this.#isNodeReady()) this.#deliverInitialState();
    }
  }

  #isNodeReady(): boolean {
    const { nodeName, isNodeReady } = this.#options;
    if (nodeName === undefined || isNodeReady === undefined) return true;
    const [{ store }] = this.#all;
    const node = store.get(nodeName);
    return node?.kind === "Node" && isNodeReady(node);
  }

  /** What is better known from the start, but nothing depends on. */
  async #waitForOptional(): Promise<void> {
    const { nodeGraceMs = NODE_GRACE_MS } = this.#options;
    await this.#requiredIn.promise;
    await sleep(this.#timing, nodeGraceMs, this.#abort.signal);
    if (this.#delivering || this.#abort.signal.aborted) return;
    if (!this.#isNodeReady()) {
      logger.warn("node {name} is not there, or without what is needed of it; going on", {
        name: this.#options.nodeName,
      });
    }
    this.#deliverInitialState();
  }

  /** Everything that is known, in one batch. */
  #deliverInitialState(): void {
    this.#delivering = true;
    const changes: ClusterChange[] = [];
    for (const { store } of this.#all) {
      for (const object of store.objects) changes.push({ action: "apply", object });
    }
    logger.info("{count} objects from {server}", {
      count: changes.length,
      server: this.#options.transport.server,
    });
    this.#tell(changes);
  }

  #tell(changes: readonly ClusterChange[]): void {
    this.#listener.changed(
      changes.map((change) => this.#ownNode.complete(change)).filter((change) => change !== null),
    );
  }

  #reportProblems(): void {
    if (this.#abort.signal.aborted) return;
    const { server } = this.#options.transport;
    const problems = this.#all.flatMap(({ resource, store, trouble }): ClusterProblem[] =>
      trouble === null
        ? store.problems()
        : [{ where: server + resource.path, message: trouble }, ...store.problems()]
    );
    const lines = problems.map(formatProblem).join("\n");
    if (lines === this.#problems) return;
    this.#problems = lines;
    this.#listener.problems(problems);
  }
}
