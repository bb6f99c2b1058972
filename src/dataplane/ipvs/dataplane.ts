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
import {
  type Plan,
  type PlanChange,
  type SchedulerName,
  serviceKey,
  type ServicePlan,
} from "../../plan/plan.ts";
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
import { type KeptFamily, Upkeep, type UpkeepOptions } from "../upkeep.ts";
import { FamilyIpvs, type IpvsSync, type NodeReading } from "./family.ts";
import { NetlinkKernel } from "./kernel.ts";
import { LeavingTimes } from "./leaving_times.ts";
import type { IpvsOptions } from "./options.ts";
import { RefusedError } from "./refusal.ts";
import type { IpvsState } from "./state.ts";
import { ipvsSysctls, setSysctls } from "./sysctls.ts";
import { hasScheduler } from "./trial.ts";

const logger = getLogger(["switchyard", "ipvs"]);

/** How often real servers that leave are asked for their connections. */
const SETTLE_PERIOD_MS = 5000;

/** How to run ipvs mode. */
export interface IpvsModeOptions extends UpkeepOptions {
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
  /** Where is kept over restarts since when real servers leave; absent or null: nowhere. */
  readonly leavingFile?: string | null;
  /** Descriptor of the node's network namespace; absent: this process's own. */
  readonly namespaceFd?: number;
  /** Of iptables; default: what this node uses. */
  readonly backend?: Backend;
  /** How often real servers that leave are looked after, milliseconds. */
  readonly settlePeriodMs?: number;
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
  readonly #upkeep: Upkeep<IpvsSync>;
  /** Null where the deadline of who leaves need not outlive this process. */
  readonly #leavingTimes: LeavingTimes | null;
  readonly #options: IpvsModeOptions;
  readonly #rendering: IpvsOptions;
  /** Schedulers that were asked for, by whether the kernel has them. */
  readonly #schedulers = new Map<SchedulerName, boolean>();
  readonly #missingSchedulers = new Set<SchedulerName>();
  #settleTimer: ReturnType<typeof setTimeout> | undefined;
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
    const { leavingFile = null, gracefulDeadlineMs } = options;
    this.#leavingTimes = leavingFile === null || gracefulDeadlineMs === 0
      ? null
      : LeavingTimes.open(leavingFile);
    this.#families = options.families.map((family) =>
      new FamilyIpvs(family, kernel, this.#access, options, Date.now, this.#leavingTimes?.found)
    );
    this.#rendering = {
      ...options.rendering,
      rules: { ...options.rendering.rules, randomFully: atLeast(programs.version, [1, 6, 2]) },
      missingSchedulers: this.#missingSchedulers,
    };
    this.#upkeep = new Upkeep(
      this.#families.map((family) => this.#kept(family)),
      options,
      {
        logger,
        engine: options.engine,
        inside: (fn) => runner.inside(fn),
        beforeComparing: (plan) => this.#trySchedulers(plan.services.values()),
        isRefusal,
        synced: (syncs) => this.#synced(syncs),
      },
    );
  }

  #kept(family: FamilyIpvs): KeptFamily<IpvsSync> {
    const watch = new FlushWatch(family.family, this.#access);
    return {
      family: family.family,
      get doubtful() {
        return family.doubtful;
      },
      doubt: () => family.doubt(),
      syncAll: (plan) => family.syncAll(plan, this.#rendering),
      syncChange: (_, change) => family.syncChange(change),
      lost: () => this.#lost(family, watch),
    };
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
    this.#upkeep.observe(observer);
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
    this.#trySchedulers(change.updated);
    await this.#upkeep.sync(plan, change);
  }

  /** Stops watching. Everything stays on the node, so that traffic goes on. */
  async stop(): Promise<void> {
    this.#stopped = true;
    clearTimeout(this.#settleTimer);
    await this.#upkeep.stop();
    this.#kernel.close();
  }

  /** Finds out which of the schedulers that Services ask for the kernel has, each once. */
  #trySchedulers(services: Iterable<ServicePlan>): void {
    for (const service of services) {
      for (const { scheduler } of service.ports) {
        if (scheduler === "random" || this.#schedulers.has(scheduler)) continue;
        const there = hasScheduler(this.#kernel.ipvs, scheduler);
        this.#schedulers.set(scheduler, there);
        if (there) continue;
        this.#missingSchedulers.add(scheduler);
        logger.warn(
          "Service {service}: the kernel has no scheduler {scheduler}; {instead} is taken",
          {
            service: serviceKey(service),
            scheduler,
            instead: this.#rendering.scheduling.scheduler,
          },
        );
      }
    }
  }

  #synced(syncs: readonly IpvsSync[]): void {
    this.#keepTimes();
    this.#settleLater();
    report(syncs);
    this.#options.synced?.(syncs);
  }

  #keepTimes(): void {
    this.#leavingTimes?.keep(this.#families.map(({ leavingSince }) => leavingSince));
  }

  #settleLater(): void {
    if (this.#stopped || this.#settleTimer !== undefined || this.leaving === 0) return;
    this.#settleTimer = setTimeout(() => {
      this.#settleTimer = undefined;
      try {
        for (const family of this.#families) family.settle();
        this.#keepTimes();
      } catch (error) {
        logger.warn("cannot look after leaving servers: {error}", { error: messageOf(error) });
      }
      this.#settleLater();
    }, this.#options.settlePeriodMs ?? SETTLE_PERIOD_MS);
  }

  /** What has happened to a family, or null. */
  async #lost(family: FamilyIpvs, watch: FlushWatch): Promise<string | null> {
    if (await watch.flushed()) return "tables were flushed";
    if (this.#stopped || family.doubtful) return null;
    if (family.wasEmptied()) return "virtual servers, addresses or entries of sets were removed";
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
