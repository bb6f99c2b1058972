/**
 * The agent: cluster state in, a programmed node out.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import {
  type ClusterChange,
  type ClusterListener,
  type ClusterProblem,
  type ClusterSource,
  formatProblem,
} from "../cluster/source.ts";
import type { DataPlane } from "../dataplane/dataplane.ts";
import type { Family } from "../net/address.ts";
import type { Plan, PlanChange } from "../plan/plan.ts";
import { type Clock, systemClock } from "./clock.ts";
import { ProxyHealth } from "./health.ts";
import { isNoChange, mergeChanges, NO_CHANGE } from "./plan_change.ts";
import { BoundedFrequencyRunner } from "./runner.ts";
import { type TriggerTime, TriggerTimes } from "./trigger_times.ts";
import { messageOf } from "../errors.ts";

const logger = getLogger(["switchyard", "agent"]);

/** Without any change the node is synced this often, as in kube-proxy. */
const MAX_INTERVAL_MS = 3_600_000;

/** What makes plans: see `Planner` in plan/. */
export interface PlanMaker {
  readonly plan: Plan;
  /** What the Services ask for and cannot have. */
  readonly problems: readonly ClusterProblem[];
  update(changes: readonly ClusterChange[]): PlanChange;
  /** Has the next update know the node by these addresses of its interfaces. */
  setLocalAddresses?(addresses: readonly string[]): void;
}

/** Numbers of changes. */
export interface ChangeCounts {
  readonly services: number;
  readonly endpoints: number;
}

/** Is told what the agent does, for metrics. */
export interface AgentObserver {
  /** Changes came from the cluster and wait for the next sync. */
  queued(changes: ChangeCounts): void;
  /** A sync ended; these changes came meanwhile and wait for the next one. */
  synced(sync: {
    readonly durationMs: number;
    readonly ok: boolean;
    readonly waiting: ChangeCounts;
    /** What was to be brought to the node. */
    readonly change: PlanChange;
    /** What came from the cluster since the sync before. */
    readonly changes: readonly ClusterChange[];
    /** Why it failed, or null. */
    readonly error: string | null;
  }): void;
  /**
   * A sync brought changes to the node that were made so long ago in the cluster, where the cluster
   * says when; milliseconds.
   */
  programmed?(latencies: readonly { readonly family: Family; readonly ms: number }[]): void;
  /** The input has other problems than before: these. */
  problems?(problems: readonly ClusterProblem[]): void;
}

/** What is kept in step with the plan beside the data plane. */
export interface Companion {
  /** Called when the node has the plan. Never rejects. */
  sync(plan: Plan, change: PlanChange): Promise<void>;
  /** What of it cannot be had now. */
  readonly problems: readonly ClusterProblem[];
  stop(): Promise<void>;
}

/** What a companion is told. */
export interface CompanionContext {
  /** Whether changes reach the node in time. */
  proxyHealthy(): boolean;
  /** To be called when the companion's problems are others than before. */
  problemsChanged(): void;
}

/** What the agent works with. */
export interface AgentOptions {
  readonly source: ClusterSource;
  readonly planner: PlanMaker;
  readonly dataPlane: DataPlane;
  /** The servers of health check node ports. */
  readonly healthChecks?: (context: CompanionContext) => Companion;
  readonly nodeName: string;
  readonly families: readonly Family[];
  /** Least time from the start of a sync to that of the next, milliseconds. */
  readonly minSyncMs: number;
  /** A sync that failed is tried again after this; health waits for changes twice as long. */
  readonly syncPeriodMs: number;
  /** Shorter time to the next try; the sync period if absent. */
  readonly retryMs?: number;
  readonly observer?: AgentObserver;
  readonly clock?: Clock;
}

/**
 * Carries changes from a source through the planner to a data plane, as often as is good for the
 * node. It begins with {@link Agent.start} and ends with {@link Agent.stop}, once.
 */
export class Agent {
  readonly health: ProxyHealth;
  readonly dataPlane: DataPlane;
  readonly #options: AgentOptions;
  readonly #clock: Clock;
  readonly #runner: BoundedFrequencyRunner;
  readonly #healthChecks: Companion | null;
  readonly #abort = new AbortController();
  readonly #ready = Promise.withResolvers<void>();
  readonly #triggers: TriggerTimes;
  #revision = 0;
  #syncing = false;
  #waiting: ClusterChange[] = [];
  /** The node is another than the plan knows. */
  #replan = false;
  /** When the first of the waiting changes came. */
  #waitingSince: number | null = null;
  /** What the data plane has not taken yet, because a sync failed. */
  #unsynced: PlanChange = NO_CHANGE;
  /** When those changes were made in the cluster. */
  #unsyncedTriggers: readonly TriggerTime[] = [];
  #sourceProblems: readonly ClusterProblem[] = [];
  #planProblems: readonly ClusterProblem[] = [];
  #logged: ReadonlySet<string> = new Set();
  #done: Promise<void> | null = null;

  constructor(options: AgentOptions) {
    this.#options = options;
    this.dataPlane = options.dataPlane;
    this.#clock = options.clock ?? systemClock;
    this.#triggers = new TriggerTimes(this.#clock.now());
    this.health = new ProxyHealth(options.families, 2 * options.syncPeriodMs, this.#clock);
    this.#runner = new BoundedFrequencyRunner(() => this.#sync(), {
      minIntervalMs: options.minSyncMs,
      retryIntervalMs: options.retryMs ?? options.syncPeriodMs,
      maxIntervalMs: MAX_INTERVAL_MS,
      clock: this.#clock,
      onError: (error) => logger.error("sync failed: {error}", { error: messageOf(error) }),
    });
    this.#healthChecks = options.healthChecks?.({
      proxyHealthy: () => this.health.report().healthy,
      problemsChanged: () => this.#report(),
    }) ?? null;
    this.#ready.promise.catch(() => {});
  }

  /** The plan as of the last sync. */
  get plan(): Plan {
    return this.#options.planner.plan;
  }

  /** Another number after every change of the plan. */
  get revision(): number {
    return this.#revision;
  }

  /** Whether a sync is under way. */
  get syncing(): boolean {
    return this.#syncing;
  }

  /** The problems that the input has now, on this node or anywhere. */
  get problems(): readonly ClusterProblem[] {
    return [
      ...this.#sourceProblems,
      ...this.#planProblems,
      ...this.#healthChecks?.problems ?? [],
    ];
  }

  /** Resolves when the initial state is on the node; rejects when it never will be. */
  get ready(): Promise<void> {
    return this.#ready.promise;
  }

  /** Begins. The promise resolves after {@link stop}; it rejects when the source cannot be read. */
  start(): Promise<void> {
    this.#done ??= this.#run();
    return this.#done;
  }

  /** Has the data plane synced though nothing may have changed. */
  requestSync(): void {
    this.#runner.request();
  }

  /** Has the node synced with these addresses of its interfaces. */
  setLocalAddresses(addresses: readonly string[]): void {
    this.#options.planner.setLocalAddresses?.(addresses);
    this.#replan = true;
    this.#runner.request();
  }

  /** Ends: no sync starts any more, then the data plane is stopped. */
  async stop(): Promise<void> {
    if (this.#abort.signal.aborted) return;
    this.#abort.abort();
    this.#ready.reject(new Error("the agent was stopped"));
    await this.#runner.stop();
    await this.#done?.catch(() => {});
    await this.#healthChecks?.stop();
    await this.dataPlane.stop();
  }

  async #run(): Promise<void> {
    const signal = this.#abort.signal;
    this.health.updated();
    try {
      await this.#options.source.run(this.#listener(), signal);
    } catch (error) {
      this.#ready.reject(error);
      if (!signal.aborted) throw error;
    }
    if (signal.aborted) return;
    const stopped = Promise.withResolvers<void>();
    signal.addEventListener("abort", () => stopped.resolve(), { once: true });
    await stopped.promise;
  }

  #listener(): ClusterListener {
    let first = true;
    return {
      changed: (changes) => {
        if (first) this.#runner.start();
        if (changes.length > 0 || first) this.#queue(changes);
        first = false;
      },
      problems: (problems) => {
        this.#sourceProblems = problems;
        this.#report();
      },
    };
  }

  #queue(changes: readonly ClusterChange[]): void {
    this.#waitingSince ??= this.#clock.now();
    for (const change of changes) {
      this.#waiting.push(change);
      this.#triggers.note(change);
      const object = change.object;
      if (object.kind === "Node" && object.metadata.name === this.#options.nodeName) {
        this.health.nodeChanged(change.action === "apply" ? object : null);
      }
    }
    this.health.queued();
    this.#options.observer?.queued(countChanges(changes));
    this.#runner.request();
  }

  async #sync(): Promise<void> {
    const { planner, observer } = this.#options;
    const started = this.#clock.now();
    let change = this.#unsynced;
    let failure: string | null = null;
    let changes: readonly ClusterChange[] = [];
    this.#syncing = true;
    try {
      if (this.#waiting.length > 0 || this.#replan || isNoChange(change)) {
        this.#replan = false;
        changes = this.#waiting;
        change = this.#unsynced = mergeChanges(change, planner.update(changes));
        this.#revision++;
        this.#planProblems = planner.problems;
        this.#report();
      }
      this.#waiting = [];
      this.#waitingSince = null;
      this.#unsyncedTriggers = [...this.#unsyncedTriggers, ...this.#triggers.take()];
      await this.dataPlane.sync(planner.plan, change);
    } catch (error) {
      failure = messageOf(error);
      throw error;
    } finally {
      this.#syncing = false;
      observer?.synced({
        durationMs: this.#clock.now() - started,
        ok: failure === null,
        waiting: countChanges(this.#waiting),
        change,
        changes,
        error: failure,
      });
    }
    this.#unsynced = NO_CHANGE;
    const now = this.#clock.now();
    const latencies = this.#unsyncedTriggers.map(({ family, time }) => ({
      family,
      ms: now - time,
    }));
    observer?.programmed?.(latencies);
    this.#unsyncedTriggers = [];
    this.health.updated(this.#waitingSince);
    await this.#healthChecks?.sync(planner.plan, change);
    this.#ready.resolve();
    logger.debug("synced {updated} updated and {removed} removed Services", {
      updated: change.updated.length,
      removed: change.removed.length,
    });
  }

  /** Every problem is one line in the log, once for as long as it lasts. */
  #report(): void {
    const lines = new Set(this.problems.map(formatProblem));
    for (const line of lines) if (!this.#logged.has(line)) logger.warn("{line}", { line });
    for (const line of this.#logged) if (!lines.has(line)) logger.info("solved: {line}", { line });
    const others = lines.size !== this.#logged.size || lines.difference(this.#logged).size > 0;
    if (others) this.#options.observer?.problems?.(this.problems);
    this.#logged = lines;
  }
}

function countChanges(changes: readonly ClusterChange[]): ChangeCounts {
  const count = (kind: string) => changes.filter((change) => change.object.kind === kind).length;
  return { services: count("Service"), endpoints: count("EndpointSlice") };
}
