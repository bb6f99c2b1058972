/**
 * ipvs mode: the node's IPVS forwards; rules around it masquerade and filter.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import type { EngineHandle } from "../../engine/handle.ts";
import { messageOf } from "../../errors.ts";
import { NetworkNamespace } from "../../linux/namespace.ts";
import type { Family } from "../../net/address.ts";
import type { IpvsTimeouts } from "../../netlink/generic/ipvs.ts";
import type { Plan, PlanChange, SchedulerName, ServicePlan } from "../../plan/plan.ts";
import { forgetStaleUdp } from "../conntrack/cleanup.ts";
import { touchesUdp } from "../conntrack/stale_udp.ts";
import type { DataPlane, DataPlaneObserver, Difference, SentRules } from "../dataplane.ts";
import { NodeRulesAccess, RestoreError, type RulesAccess } from "../iptables/apply.ts";
import { FlushWatch } from "../iptables/canary.ts";
import {
  atLeast,
  type Backend,
  findPrograms,
  ProgramRunner,
  type Programs,
} from "../iptables/programs.ts";
import { FamilyIpvs, type IpvsSync, type NodeReading, RefusedError } from "./family.ts";
import { NetlinkKernel } from "./kernel.ts";
import type { IpvsOptions } from "./options.ts";
import type { IpvsState } from "./state.ts";
import { ipvsSysctls, setSysctls } from "./sysctls.ts";
import { hasScheduler } from "./trial.ts";

const logger = getLogger(["switchyard", "ipvs"]);

/** As in kube-proxy, a full sync at least every hour. */
const FULL_SYNC_PERIOD_MS = 3_600_000;
/** How often to look whether someone flushed rules, servers or addresses. */
const WATCH_PERIOD_MS = 30_000;
/** Longer than an iptables-restore of a proxy that was killed goes on. */
const CONFIRMATION_MS = 10_000;
/** How often real servers that leave are asked for their connections. */
const SETTLE_PERIOD_MS = 5000;

/** How to run ipvs mode. */
export interface IpvsModeOptions {
  /** Answers queries; it learns each plan when the node has it. */
  readonly engine: EngineHandle;
  readonly families: readonly Family[];
  /** This node's name. */
  readonly node: string;
  /** Flags that the state depends on. */
  readonly rendering: IpvsOptions;
  /** Networks whose virtual servers are left alone. */
  readonly excludeCIDRs: readonly string[];
  readonly strictARP: boolean;
  /** Seconds; those that are absent or 0 stay. */
  readonly timeouts: Partial<IpvsTimeouts>;
  /** When real servers go though they have connections, milliseconds; 0: never. */
  readonly gracefulDeadlineMs: number;
  /** Descriptor of the node's network namespace; absent: this process's own. */
  readonly namespaceFd?: number;
  /** Of iptables; default: what this node uses. */
  readonly backend?: Backend;
  /** The node is read and compared at least this often, milliseconds. */
  readonly fullSyncPeriodMs?: number;
  /** How often to look whether someone flushed what is ours, milliseconds; 0: never. */
  readonly watchPeriodMs?: number;
  /** How long after the first sync the node is read again, milliseconds; 0: not then. */
  readonly confirmationMs?: number;
  /** How often real servers that leave are looked after, milliseconds. */
  readonly settlePeriodMs?: number;
  /** Called when a sync is needed though the plan is the same. */
  readonly requestSync?: () => void;
  /** Told what each sync did. */
  readonly synced?: (syncs: readonly IpvsSync[]) => void;
}

/** ipvs mode on one node. */
export class IpvsDataPlane implements DataPlane {
  readonly mode = "ipvs";
  readonly engine: EngineHandle;
  readonly #runner: ProgramRunner;
  readonly #kernel: NetlinkKernel;
  readonly #access: RulesAccess;
  readonly #families: readonly FamilyIpvs[];
  /** In the same order. */
  readonly #watches: readonly FlushWatch[];
  readonly #options: IpvsModeOptions;
  readonly #rendering: IpvsOptions;
  /** Schedulers that were asked for, by whether the kernel has them. */
  readonly #schedulers = new Map<SchedulerName, boolean>();
  readonly #missingSchedulers = new Set<SchedulerName>();
  #observer: DataPlaneObserver | null = null;
  #fullSyncDue = 0;
  #watchTimer: ReturnType<typeof setInterval> | undefined;
  #settleTimer: ReturnType<typeof setTimeout> | undefined;
  /** Null before the first sync. */
  #confirmationTimer: ReturnType<typeof setTimeout> | undefined | null = null;
  #watching: Promise<void> = Promise.resolve();
  #stopped = false;

  private constructor(
    options: IpvsModeOptions,
    runner: ProgramRunner,
    kernel: NetlinkKernel,
    programs: Programs,
  ) {
    this.engine = options.engine;
    this.#options = options;
    this.#runner = runner;
    this.#kernel = kernel;
    this.#access = new NodeRulesAccess(runner, programs);
    this.#families = options.families.map((family) =>
      new FamilyIpvs(family, kernel, this.#access, options)
    );
    this.#watches = options.families.map((family) => new FlushWatch(family, this.#access));
    this.#rendering = {
      ...options.rendering,
      rules: { ...options.rendering.rules, randomFully: atLeast(programs.version, [1, 6, 2]) },
      missingSchedulers: this.#missingSchedulers,
    };
    const period = options.watchPeriodMs ?? WATCH_PERIOD_MS;
    if (period > 0) {
      this.#watchTimer = setInterval(() => this.#watching = this.#watch(), period);
    }
  }

  /**
   * Sets the kernel parameters of this mode; nothing else is changed yet. Needs CAP_NET_ADMIN.
   * Rejects with one line when the kernel has no IPVS or no ipset, or iptables is not installed.
   */
  static async start(options: IpvsModeOptions): Promise<IpvsDataPlane> {
    const { namespaceFd, strictARP, timeouts } = options;
    const namespace = namespaceFd === undefined ? null : NetworkNamespace.fromFd(namespaceFd);
    const runner = new ProgramRunner(namespace);
    const programs = await findPrograms(runner, options.backend);
    // The parameters are there once the kernel has IPVS.
    const kernel = runner.inside(() => NetlinkKernel.open());
    try {
      runner.inside(() => setSysctls(ipvsSysctls(Deno.osRelease(), strictARP)));
      setTimeouts(kernel, timeouts);
    } catch (error) {
      kernel.close();
      throw error;
    }
    return new IpvsDataPlane(options, runner, kernel, programs);
  }

  get families(): readonly Family[] {
    return this.#families.map(({ family }) => family);
  }

  /** What the node has as of the last successful sync. */
  state(family: Family): IpvsState | null {
    return this.#families.find((one) => one.family === family)?.state ?? null;
  }

  /** What of ours the node has now, and iptables-save's text of all tables. */
  async read(family: Family): Promise<NodeReading> {
    const kept = this.#families.find((one) => one.family === family);
    if (kept === undefined) throw new Error(`${family} is not served`);
    return await kept.read();
  }

  sent(): readonly SentRules[] {
    return this.#families.map(({ sent }) => sent);
  }

  /** How many real servers wait for the end of their last connection. */
  get leaving(): number {
    return this.#families.reduce((sum, { leaving }) => sum + leaving, 0);
  }

  /** Runs a synchronous function in the node's network namespace. */
  inside<T>(fn: () => T): T {
    return this.#runner.inside(fn);
  }

  observe(observer: DataPlaneObserver): void {
    this.#observer = observer;
  }

  /** What others have changed since the last sync; what a sync changed meanwhile is left out. */
  async differences(): Promise<readonly Difference[]> {
    const found: Difference[] = [];
    for (const family of this.#families) found.push(...await family.differences());
    return found;
  }

  /**
   * Sends what changed. The first sync, one after a failure, one for a changed node and one an hour
   * compare with what the node has, so that nothing that happened to it lasts.
   */
  async sync(plan: Plan, change: PlanChange): Promise<void> {
    const due = change.node !== null || Date.now() >= this.#fullSyncDue;
    this.#trySchedulers(due ? plan.services.values() : change.updated);
    const syncs: IpvsSync[] = [];
    const failures: unknown[] = [];
    for (const family of this.#families) {
      try {
        syncs.push(await this.#syncFamily(family, plan, due ? null : change));
      } catch (error) {
        failures.push(error);
      }
    }
    this.#settleLater();
    if (due && failures.length === 0) {
      this.#fullSyncDue = Date.now() + (this.#options.fullSyncPeriodMs ?? FULL_SYNC_PERIOD_MS);
      this.#confirmLater();
    }
    report(syncs);
    this.#options.synced?.(syncs);
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1) throw new AggregateError(failures, failures.map(messageOf).join("; "));
    const renewed = syncs.some(({ full, changes }) => full && changes > 0);
    if (renewed || touchesUdp(change)) this.#forgetStaleUdp(plan);
    await this.engine.apply(change);
  }

  /** Stops watching. Everything stays on the node, so that traffic goes on. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearInterval(this.#watchTimer);
    clearTimeout(this.#settleTimer);
    clearTimeout(this.#confirmationTimer ?? undefined);
    await this.#watching;
    this.#kernel.close();
  }

  /** Sends a change, or everything when there is none, or when the node is not as it was left. */
  async #syncFamily(
    family: FamilyIpvs,
    plan: Plan,
    change: PlanChange | null,
  ): Promise<IpvsSync> {
    if (change !== null && !family.doubtful) {
      try {
        return await this.#attempt(family, false, () => family.syncChange(change));
      } catch (error) {
        if (!isRefusal(error)) throw error;
        logger.warn("everything is compared, because: {error}", { error: messageOf(error) });
      }
    }
    return await this.#attempt(family, true, () => family.syncAll(plan, this.#rendering));
  }

  /** Tells the observer how it went. */
  async #attempt(
    { family }: FamilyIpvs,
    full: boolean,
    sync: () => Promise<IpvsSync>,
  ): Promise<IpvsSync> {
    const begun = performance.now();
    const tell = (ok: boolean, refused: boolean) => {
      const durationMs = performance.now() - begun;
      this.#observer?.attempted({ family, full, ok, refused, durationMs });
    };
    try {
      const done = await sync();
      tell(true, false);
      return done;
    } catch (error) {
      tell(false, isRefusal(error));
      throw error;
    }
  }

  /** Finds out which of the schedulers that Services ask for the kernel has, each once. */
  #trySchedulers(services: Iterable<ServicePlan>): void {
    for (const { namespace, name, ports } of services) {
      for (const { scheduler } of ports) {
        if (scheduler === "random" || this.#schedulers.has(scheduler)) continue;
        const there = hasScheduler(this.#kernel.ipvs, scheduler);
        this.#schedulers.set(scheduler, there);
        if (there) continue;
        this.#missingSchedulers.add(scheduler);
        logger.warn(
          "Service {service}: the kernel has no scheduler {scheduler}; {instead} is taken",
          {
            service: `${namespace}/${name}`,
            scheduler,
            instead: this.#rendering.scheduling.scheduler,
          },
        );
      }
    }
  }

  /** After the first sync, has one more compare everything. */
  #confirmLater(): void {
    if (this.#confirmationTimer !== null) return;
    this.#confirmationTimer = undefined;
    const wait = this.#options.confirmationMs ?? CONFIRMATION_MS;
    if (wait === 0) return;
    this.#confirmationTimer = setTimeout(() => {
      this.#fullSyncDue = 0;
      this.#options.requestSync?.();
    }, wait);
  }

  #settleLater(): void {
    if (this.#stopped || this.#settleTimer !== undefined || this.leaving === 0) return;
    this.#settleTimer = setTimeout(() => {
      this.#settleTimer = undefined;
      try {
        for (const family of this.#families) family.settle();
      } catch (error) {
        logger.warn("cannot look after leaving servers: {error}", { error: messageOf(error) });
      }
      this.#settleLater();
    }, this.#options.settlePeriodMs ?? SETTLE_PERIOD_MS);
  }

  /** As in kube-proxy, what fails here is not tried again before the next change. */
  #forgetStaleUdp(plan: Plan): void {
    for (const family of this.families) {
      const begun = performance.now();
      try {
        const deleted = this.#runner.inside(() => forgetStaleUdp(plan, [family]));
        const durationMs = performance.now() - begun;
        this.#observer?.conntrackReconciled({ family, deleted, durationMs });
        if (deleted > 0) logger.debug("{deleted} stale UDP flows were forgotten", { deleted });
      } catch (error) {
        logger.warn("stale UDP flows may be left: {error}", { error: messageOf(error) });
      }
    }
  }

  async #watch(): Promise<void> {
    await this.#watching;
    for (const [index, family] of this.#families.entries()) {
      if (family.doubtful) continue;
      try {
        const reason = await this.#lost(family, this.#watches[index]);
        if (reason === null) continue;
        logger.warn("{family}: {reason}; everything is compared", {
          family: family.family,
          reason,
        });
      } catch (error) {
        logger.warn("cannot look after the node: {error}", { error: messageOf(error) });
        continue;
      }
      family.doubt();
      this.#options.requestSync?.();
    }
  }

  /** What has happened to a family, or null. */
  async #lost(family: FamilyIpvs, watch: FlushWatch): Promise<string | null> {
    if (await watch.flushed()) return "tables were flushed";
    if (this.#stopped || family.doubtful) return null;
    if (family.wasEmptied()) return "virtual servers or addresses were removed";
    return family.addressesChanged() ? "the node's addresses are others" : null;
  }
}

function isRefusal(error: unknown): boolean {
  return error instanceof RestoreError || error instanceof RefusedError;
}

/** As in kube-proxy, a refusal is only told. */
function setTimeouts(kernel: NetlinkKernel, timeouts: Partial<IpvsTimeouts>): void {
  if (Object.values(timeouts).every((seconds) => !seconds)) return;
  try {
    kernel.ipvs.setTimeouts(timeouts);
  } catch (error) {
    logger.error("time-outs of IPVS stay as they are: {error}", { error: messageOf(error) });
  }
}

function report(syncs: readonly IpvsSync[]): void {
  for (const { problems, drift } of syncs) {
    for (const { service, message } of problems) {
      logger.warn("Service {service} is not served as asked: {message}", { service, message });
    }
    for (const { where, problem, found, expected } of drift) {
      logger.warn("someone changed what is ours: {where} {problem}{detail}", {
        where,
        problem,
        detail: detailOf(found, expected),
      });
    }
  }
}

function detailOf(found: readonly string[], expected: readonly string[]): string {
  const part = (word: string, items: readonly string[]) =>
    items.length === 0
      ? []
      : [`${word} "${items[0]}"${items.length > 1 ? ` and ${items.length - 1} more` : ""}`];
  const parts = [...part("with", found), ...part("without", expected)];
  return parts.length === 0 ? "" : `: ${parts.join(", ")}`;
}
