/**
 * What the agent tells the cluster of itself, as Events: kube-proxy's, and which Services it cannot
 * serve.
 *
 * @module
 */

import type { ClusterEvent, EventSink } from "../cluster/kubernetes/event_recorder.ts";
import { type ClusterProblem, formatProblem } from "../cluster/source.ts";
import type { AgentObserver } from "./agent.ts";
import type { ServerName } from "./servers.ts";

/** Events about Services in an hour: every node tells the same of a Service that none can serve. */
const MAX_PER_HOUR = 10;
const HOUR_MS = 3_600_000;

const SERVER_EVENTS: Readonly<Record<ServerName, string>> = {
  healthz: "FailedToStartProxierHealthcheck",
  metrics: "FailedToStartMetricServer",
};

/** Turns what happens into Events. */
export class ClusterEvents implements AgentObserver {
  readonly #sink: EventSink;
  readonly #node: ClusterEvent["regarding"];
  readonly #now: () => number;
  #known: ReadonlySet<string> = new Set();
  #hourEnds = -Infinity;
  #left = 0;

  constructor(sink: EventSink, nodeName: string, now: () => number = Date.now) {
    this.#sink = sink;
    // As the kubelet and kube-proxy do: `kubectl describe node` looks for this uid.
    this.#node = { kind: "Node", name: nodeName, uid: nodeName };
    this.#now = now;
  }

  /** The agent begins. */
  started(): void {
    this.#tellOfNode("Normal", "Starting", "");
  }

  /** An address cannot be listened on. */
  listenFailed(server: ServerName, message: string): void {
    this.#tellOfNode("Warning", SERVER_EVENTS[server], message);
  }

  queued(): void {}
  synced(): void {}

  /** Each problem of a Service is told once for as long as it lasts. */
  problems(problems: readonly ClusterProblem[]): void {
    const services = problems.filter(({ object }) => object?.startsWith("Service ") ?? false);
    const now = new Map(services.map((problem) => [formatProblem(problem), problem]));
    for (const [line, problem] of now) if (!this.#known.has(line)) this.#tellOfService(problem);
    this.#known = new Set(now.keys());
  }

  #tellOfNode(type: ClusterEvent["type"], reason: string, note: string): void {
    this.#sink.record({ regarding: this.#node, type, reason, action: "StartKubeProxy", note });
  }

  #tellOfService({ object, field, message }: ClusterProblem): void {
    if (!this.#mayTell()) return;
    const [namespace, name] = object!.slice("Service ".length).split("/");
    if (name === undefined) return;
    const listening = field === "spec.healthCheckNodePort";
    this.#sink.record({
      regarding: { apiVersion: "v1", kind: "Service", namespace, name },
      type: "Warning",
      reason: listening ? "FailedToStartServiceHealthcheck" : "ServiceNotServed",
      action: listening ? "Listen" : "Program",
      note: `node ${this.#node.name}: ${field === undefined ? "" : `${field}: `}${message}`,
    });
  }

  #mayTell(): boolean {
    if (this.#now() >= this.#hourEnds) {
      this.#hourEnds = this.#now() + HOUR_MS;
      this.#left = MAX_PER_HOUR;
    }
    return this.#left-- > 0;
  }
}
