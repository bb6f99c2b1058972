/**
 * iptables mode: the node's netfilter forwards, by kube-proxy's rules.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import type { EngineHandle } from "../../engine/handle.ts";
import { NetworkNamespace } from "../../linux/namespace.ts";
import { readSysctl, writeSysctl } from "../../linux/sysctl.ts";
import type { Family } from "../../net/address.ts";
import type { Plan, PlanChange } from "../../plan/plan.ts";
import { forgetStaleUdp } from "../conntrack/cleanup.ts";
import { touchesUdp } from "../conntrack/stale_udp.ts";
import type { DataPlane, DataPlaneObserver, Difference, SentRules } from "../dataplane.ts";
import { NodeRulesAccess, RestoreError, type RulesAccess } from "./apply.ts";
import { FlushWatch } from "./canary.ts";
import { ensureCounters, readCounters } from "./counters.ts";
import { differencesOf, type Drift, formatDrift } from "./drift.ts";
import { FamilyRules, type FamilySync } from "./family.ts";
import {
  type CounterName,
  DEFAULT_RULE_OPTIONS,
  ruleContext,
  type RuleOptions,
} from "./options.ts";
import { atLeast, type Backend, findPrograms, ProgramRunner, type Programs } from "./programs.ts";
import type { RuleSet } from "./rules.ts";
import { messageOf } from "../../errors.ts";

const logger = getLogger(["switchyard", "iptables"]);

/** As in kube-proxy, a full sync at least every hour. */
const FULL_SYNC_PERIOD_MS = 3_600_000;
/** As in kube-proxy, canaries are looked after every sync period. */
const CANARY_PERIOD_MS = 30_000;
/** Longer than an iptables-restore waits for the lock and, without more input, goes on. */
const CONFIRMATION_MS = 10_000;

/** Options that the node itself answers. */
type NodeAnswers = "randomFully" | "tcpLiberal" | "counters";

/** How to run iptables mode. */
export interface IptablesOptions {
  /** Answers queries; it learns each plan when the node has it. */
  readonly engine: EngineHandle;
  readonly families: readonly Family[];
  /** Flags that the rules depend on; kube-proxy's defaults where absent. */
  readonly rules?: Partial<Omit<RuleOptions, NodeAnswers>>;
  /** Descriptor of the node's network namespace; absent: this process's own. */
  readonly namespaceFd?: number;
  /** Default: what this node uses. */
  readonly backend?: Backend;
  /** The node's rules are read and compared at least this often, milliseconds. */
  readonly fullSyncPeriodMs?: number;
  /** How often to look whether someone flushed the tables, milliseconds; 0: never. */
  readonly canaryPeriodMs?: number;
  /**
   * How long after the first sync the rules are read again, milliseconds; 0: not then. What a proxy
   * that was killed has begun may still be carried out after we have read them.
   */
  readonly confirmationMs?: number;
  /** Called when a sync is needed though the plan is the same, because rules may be lost. */
  readonly requestSync?: () => void;
  /** Told what each sync did. */
  readonly synced?: (syncs: readonly FamilySync[]) => void;
}

/** iptables mode on one node. */
export class IptablesDataPlane implements DataPlane {
  readonly mode = "iptables";
  readonly engine: EngineHandle;
  readonly programs: Programs;
  readonly #runner: ProgramRunner;
  readonly #access: RulesAccess;
  readonly #families: readonly FamilyRules[];
  /** In the same order. */
  readonly #watches: readonly FlushWatch[];
  readonly #options: IptablesOptions;
  #ruleOptions: RuleOptions;
  #observer: DataPlaneObserver | null = null;
  readonly #lastSyncs = new Map<Family, FamilySync>();
  #sent: readonly SentRules[] = [];
  #fullSyncDue = 0;
  #routeLocalnet = false;
  #canaryTimer: ReturnType<typeof setInterval> | undefined;
  /** Null before the first sync. */
  #confirmationTimer: ReturnType<typeof setTimeout> | undefined | null = null;
  #watching: Promise<void> = Promise.resolve();

  private constructor(
    options: IptablesOptions,
    runner: ProgramRunner,
    programs: Programs,
    families: readonly Family[],
    ruleOptions: RuleOptions,
  ) {
    this.engine = options.engine;
    this.programs = programs;
    this.#options = options;
    this.#runner = runner;
    this.#access = new NodeRulesAccess(runner, programs);
    this.#families = families.map((family) => new FamilyRules(family, this.#access));
    this.#watches = families.map((family) => new FlushWatch(family, this.#access));
    this.#ruleOptions = ruleOptions;
    const period = options.canaryPeriodMs ?? CANARY_PERIOD_MS;
    if (period > 0) {
      this.#canaryTimer = setInterval(() => this.#watching = this.#watch(), period);
    }
  }

  /**
   * Finds the node's iptables; changes nothing yet. Needs CAP_NET_ADMIN in the namespace. Rejects
   * with one line when iptables is not installed or usable in none of the families.
   */
  static async start(options: IptablesOptions): Promise<IptablesDataPlane> {
    const namespace = options.namespaceFd === undefined
      ? null
      : NetworkNamespace.fromFd(options.namespaceFd);
    const runner = new ProgramRunner(namespace);
    const programs = await findPrograms(runner, options.backend);
    const families = await usableFamilies(new NodeRulesAccess(runner, programs), options.families);
    const liberal = runner.inside(() => readSysctl("net.netfilter.nf_conntrack_tcp_be_liberal"));
    const ruleOptions: RuleOptions = {
      ...DEFAULT_RULE_OPTIONS,
      ...options.rules,
      randomFully: atLeast(programs.version, [1, 6, 2]),
      tcpLiberal: liberal !== null && liberal !== "0",
    };
    return new IptablesDataPlane(options, runner, programs, families, ruleOptions);
  }

  /** Families that this node can do, of those that were asked for. */
  get families(): readonly Family[] {
    return this.#families.map(({ family }) => family);
  }

  /** The rules that the node has as of the last successful sync. */
  rules(family: Family): RuleSet | null {
    return this.#families.find((rules) => rules.family === family)?.rules ?? null;
  }

  /** iptables-save's text of all tables of a family, as the node has them now. */
  saved(family: Family): Promise<string> {
    return this.#access.read(family);
  }

  /** What the last sync sent; null before the first and in families not served. */
  lastSync(family: Family): FamilySync | null {
    return this.#lastSyncs.get(family) ?? null;
  }

  sent(): readonly SentRules[] {
    return this.#sent;
  }

  /** Packets that the rules have counted in nfacct objects, as far as the kernel has these. */
  countedPackets(): ReadonlyMap<CounterName, bigint> {
    return this.#ruleOptions.counters.size === 0 ? new Map() : this.#runner.inside(readCounters);
  }

  observe(observer: DataPlaneObserver): void {
    this.#observer = observer;
  }

  /** Runs a synchronous function in the node's network namespace. */
  inside<T>(fn: () => T): T {
    return this.#runner.inside(fn);
  }

  /** What others have changed of the rules since the last sync. */
  async drift(): Promise<Drift[]> {
    return (await Promise.all(this.#families.map((rules) => rules.drift()))).flat();
  }

  /** The same in the words of all data planes; what a sync changed meanwhile is left out. */
  async differences(): Promise<readonly Difference[]> {
    while (true) {
      const before = this.#families.map(({ rules }) => rules);
      const drift = await this.drift();
      if (!this.#families.every(({ rules }, i) => rules === before[i])) continue;
      return differencesOf(drift);
    }
  }

  /**
   * Sends what changed. The first sync, one after a failure, one for a changed node and one an hour
   * compare with the node's own rules, so that nothing that happened to them lasts.
   */
  async sync(plan: Plan, change: PlanChange): Promise<void> {
    const due = change.node !== null || Date.now() >= this.#fullSyncDue;
    if (due || this.#families.some((rules) => rules.doubtful)) {
      this.#ruleOptions = { ...this.#ruleOptions, counters: this.#counters() };
    }
    const syncs: FamilySync[] = [];
    this.#sent = [];
    const failures: unknown[] = [];
    for (const rules of this.#families) {
      try {
        syncs.push(await this.#syncFamily(rules, plan, due ? null : change));
      } catch (error) {
        failures.push(error);
      }
    }
    if (due && failures.length === 0) {
      this.#fullSyncDue = Date.now() + (this.#options.fullSyncPeriodMs ?? FULL_SYNC_PERIOD_MS);
      this.#confirmLater();
    }
    report(syncs);
    for (const sync of syncs) this.#lastSyncs.set(sync.family, sync);
    this.#sent = syncs.map(({ sent }) => sent);
    this.#options.synced?.(syncs);
    if (failures.length === 1) throw failures[0];
    if (failures.length > 1) throw new AggregateError(failures, failures.map(messageOf).join("; "));
    this.#openLoopback(plan);
    const renewed = syncs.some(({ full, lines }) => full && lines > 0);
    if (renewed || touchesUdp(change)) this.#forgetStaleUdp(plan);
    await this.engine.apply(change);
  }

  /** Stops watching. The rules stay, so that traffic goes on. */
  async stop(): Promise<void> {
    clearInterval(this.#canaryTimer);
    clearTimeout(this.#confirmationTimer ?? undefined);
    this.#canaryTimer = this.#confirmationTimer = undefined;
    await this.#watching;
  }

  /** After the first sync, has one more compare all rules. */
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

  /** Sends a change, or everything when there is none, or when the node is not as it was left. */
  async #syncFamily(
    rules: FamilyRules,
    plan: Plan,
    change: PlanChange | null,
  ): Promise<FamilySync> {
    if (change !== null && !rules.doubtful) {
      try {
        return await this.#attempt(
          rules.family,
          false,
          () => rules.syncChange(plan, change, this.#ruleOptions),
        );
      } catch (error) {
        if (!(error instanceof RestoreError)) throw error;
        logger.warn("all rules are compared, because: {error}", { error: error.message });
      }
    }
    return await this.#attempt(
      rules.family,
      true,
      () => rules.syncAll(plan, this.#ruleOptions),
    );
  }

  /** Tells the observer how it went. */
  async #attempt(
    family: Family,
    full: boolean,
    sync: () => Promise<FamilySync>,
  ): Promise<FamilySync> {
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
      tell(false, error instanceof RestoreError);
      throw error;
    }
  }

  #counters(): RuleOptions["counters"] {
    try {
      return this.#runner.inside(ensureCounters);
    } catch (error) {
      logger.warn("no nfacct counters: {error}", { error: messageOf(error) });
      return new Set();
    }
  }

  /** Lets packets to node ports on loopback addresses leave, now that the guard is in place. */
  #openLoopback(plan: Plan): void {
    if (this.#routeLocalnet || !this.families.includes("IPv4")) return;
    if (!ruleContext("IPv4", plan.node, this.#ruleOptions).localhostNodePorts) return;
    this.#routeLocalnet = true;
    const name = "net.ipv4.conf.all.route_localnet";
    try {
      this.#runner.inside(() => {
        if (readSysctl(name) !== "1") writeSysctl(name, 1);
      });
    } catch (error) {
      logger.error("node ports do not answer on loopback addresses: {error}", {
        error: messageOf(error),
      });
    }
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
    for (const [index, rules] of this.#families.entries()) {
      if (rules.doubtful) continue;
      try {
        if (!await this.#watches[index].flushed()) continue;
      } catch (error) {
        logger.warn("cannot look after the rules: {error}", { error: messageOf(error) });
        continue;
      }
      logger.warn("{family} tables were flushed: all rules are made anew", {
        family: rules.family,
      });
      rules.doubt();
      this.#options.requestSync?.();
    }
  }
}

async function usableFamilies(
  access: RulesAccess,
  families: readonly Family[],
): Promise<Family[]> {
  const usable: Family[] = [];
  const problems: string[] = [];
  for (const family of families) {
    try {
      await access.read(family);
      usable.push(family);
    } catch (error) {
      problems.push(messageOf(error));
    }
  }
  if (usable.length === 0) throw new Error(`iptables cannot be used: ${problems.join("; ")}`);
  for (const problem of problems) logger.warn("one family is left out: {problem}", { problem });
  return usable;
}

function report(syncs: readonly FamilySync[]): void {
  for (const { problems, drift } of syncs) {
    for (const { service, message } of problems) {
      logger.warn("Service {service} is left out: {message}", { service, message });
    }
    for (const item of drift) {
      logger.warn("someone changed our rules: {drift}", { drift: formatDrift(item) });
    }
  }
}
