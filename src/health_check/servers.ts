/**
 * Health check node ports: one HTTP server for each Service of type LoadBalancer with external
 * traffic policy Local, kept in step with the plan.
 *
 * @module
 */

import type { ClusterProblem } from "../cluster/source.ts";
import { messageOf } from "../errors.ts";
import type { Family } from "../net/address.ts";
import { type Plan, type PlanChange, serviceKey, type ServicePlan } from "../plan/plan.ts";
import { listenAddresses } from "./addresses.ts";
import { answerFor, type HealthAnswer } from "./answer.ts";
import type { Answerer, Listeners } from "./listeners.ts";

/** A port that cannot be had is tried again this often, milliseconds. */
export const LISTEN_RETRY_MS = 5000;

const WHERE = "health check node ports";

/** How to serve health check node ports. */
export interface HealthCheckOptions {
  /** Opens the listeners, which are to answer so. */
  readonly listeners: (answer: Answerer) => Listeners;
  /** `--nodeport-addresses`. */
  readonly nodePortAddresses: readonly string[];
  readonly families: readonly Family[];
  /** Whether changes reach the node in time. */
  readonly proxyHealthy: () => boolean;
  /** Called when {@link HealthCheckServers.problems} are others than before. */
  readonly problemsChanged?: () => void;
  /** Calls back once after milliseconds; returns what cancels that. */
  readonly after?: (ms: number, callback: () => void) => () => void;
}

/** The servers of one node. */
export class HealthCheckServers {
  readonly #options: HealthCheckOptions;
  readonly #listeners: Listeners;
  /** Services that are to have a server, by "namespace/name". */
  readonly #wanted = new Map<string, ServicePlan>();
  /** Where those that have one listen. */
  readonly #open = new Map<string, string>();
  readonly #problems = new Map<string, ClusterProblem>();
  #addresses: readonly string[] = [];
  #work: Promise<void> = Promise.resolve();
  #cancelRetry: (() => void) | null = null;
  #stopped = false;

  constructor(options: HealthCheckOptions) {
    this.#options = options;
    this.#listeners = options.listeners((service) => this.#answer(service));
  }

  /** Services whose port cannot be had now. */
  get problems(): readonly ClusterProblem[] {
    return [...this.#problems.values()];
  }

  /**
   * Starts, stops and moves servers, once the node has the plan. A port that cannot be had is one
   * of the {@link problems}, and is tried again at each sync and every five seconds.
   */
  sync(plan: Plan, change: PlanChange): Promise<void> {
    if (change.node !== null) {
      const { nodePortAddresses, families } = this.#options;
      this.#addresses = listenAddresses(plan.node, nodePortAddresses, families);
    }
    for (const key of change.removed) this.#wanted.delete(key);
    for (const service of change.updated) {
      const key = serviceKey(service);
      if (service.healthCheckNodePort === 0) this.#wanted.delete(key);
      else this.#wanted.set(key, service);
    }
    return this.#enqueue();
  }

  /** Closes all servers. */
  async stop(): Promise<void> {
    this.#stopped = true;
    this.#cancelRetry?.();
    await this.#work;
    await this.#listeners.stop();
  }

  #answer(key: string): HealthAnswer | null {
    const service = this.#wanted.get(key);
    if (service === undefined) return null;
    return answerFor({
      namespace: service.namespace,
      name: service.name,
      localEndpoints: service.localReadyEndpoints,
      proxyHealthy: this.#options.proxyHealthy(),
    });
  }

  /** One after the other, because the retries come in between. */
  #enqueue(): Promise<void> {
    return this.#work = this.#work.then(async () => {
      if (this.#stopped) return;
      this.#cancelRetry?.();
      this.#cancelRetry = null;
      const before = this.problems.map(({ message }) => message);
      this.#problems.clear();
      try {
        await this.#reconcile();
      } catch (error) {
        this.#problems.set("", { where: WHERE, message: messageOf(error) });
      }
      const after = this.problems.map(({ message }) => message);
      if (before.join("\n") !== after.join("\n")) this.#options.problemsChanged?.();
      if (after.length > 0) this.#retryLater();
    });
  }

  /** Ports that go are free before others are taken. */
  async #reconcile(): Promise<void> {
    for (const [key, place] of [...this.#open]) {
      if (this.#placeOf(key) === place) continue;
      this.#open.delete(key);
      await this.#listeners.close(key);
    }
    for (const [key, service] of this.#wanted) {
      if (!this.#open.has(key)) await this.#listen(key, service);
    }
  }

  /** What tells where a Service's server is to listen; null when it is to have none. */
  #placeOf(key: string): string | null {
    const service = this.#wanted.get(key);
    if (service === undefined) return null;
    return [service.healthCheckNodePort, ...this.#addresses].join(" ");
  }

  async #listen(key: string, { healthCheckNodePort }: ServicePlan): Promise<void> {
    try {
      await this.#listeners.open(key, healthCheckNodePort, this.#addresses);
      this.#open.set(key, this.#placeOf(key)!);
    } catch (error) {
      this.#problems.set(key, {
        where: WHERE,
        object: `Service ${key}`,
        field: "spec.healthCheckNodePort",
        message: `${messageOf(error)}; trying again every ${LISTEN_RETRY_MS / 1000} s`,
      });
    }
  }

  #retryLater(): void {
    const after = this.#options.after ?? afterTimeout;
    this.#cancelRetry = after(LISTEN_RETRY_MS, () => this.#enqueue());
  }
}

function afterTimeout(ms: number, callback: () => void): () => void {
  const timer = setTimeout(callback, ms);
  return () => clearTimeout(timer);
}
