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
import type { DataPlane, DataPlaneObserver, Difference, SentRules } from "../dataplane.ts";
import { driftAtRest, reportSyncs } from "../netfilter.ts";
import { type KeptFamily, Upkeep, type UpkeepOptions } from "../upkeep.ts";
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

/** Options that the node itself answers. */
type NodeAnswers = "randomFully" | "tcpLiberal" | "counters";

/** How to run iptables mode. */
export interface IptablesOptions extends Omit<UpkeepOptions, "watchPeriodMs"> {
  /** Answers queries; it learns each plan when the node has it. */
  readonly engine: EngineHandle;
  readonly families: readonly Family[];
  /** Flags that the rules depend on; kube-proxy's defaults where absent. */
  readonly rules?: Partial<Omit<RuleOptions, NodeAnswers>>;
  /** Descriptor of the node's network namespace; absent: this process's own. */
  readonly namespaceFd?: number;
  /** Default: what this node uses. */
  readonly backend?: Backend;
  /** How often to look whether someone flushed the tables, milliseconds; 0: never. */
  readonly canaryPeriodMs?: number;
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
  readonly #upkeep: Upkeep<FamilySync>;
  readonly #options: IptablesOptions;
  #ruleOptions: RuleOptions;
  readonly #lastSyncs = new Map<Family, FamilySync>();
  #sent: readonly SentRules[] = [];
  #routeLocalnet = false;

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
    this.#ruleOptions = ruleOptions;
    this.#upkeep = new Upkeep(
      this.#families.map((rules) => this.#kept(rules)),
      { ...options, watchPeriodMs: options.canaryPeriodMs },
      {
        logger,
        engine: options.engine,
        inside: (fn) => runner.inside(fn),
        beforeComparing: () => {
          this.#ruleOptions = { ...this.#ruleOptions, counters: this.#counters() };
        },
        isRefusal,
        synced: (syncs) => this.#synced(syncs),
        programmed: (plan) => this.#openLoopback(plan),
      },
    );
  }

  #kept(rules: FamilyRules): KeptFamily<FamilySync> {
    const watch = new FlushWatch(rules.family, this.#access);
    return {
      family: rules.family,
      get doubtful() {
        return rules.doubtful;
      },
      doubt: () => rules.doubt(),
      syncAll: (plan) => rules.syncAll(plan, this.#ruleOptions),
      syncChange: (plan, change) => rules.syncChange(plan, change, this.#ruleOptions),
      lost: async () => await watch.flushed() ? "tables were flushed" : null,
    };
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
    this.#upkeep.observe(observer);
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
    return differencesOf(await driftAtRest(this.#families));
  }

  /**
   * Sends what changed. The first sync, one after a failure, one for a changed node and one an hour
   * compare with the node's own rules, so that nothing that happened to them lasts.
   */
  async sync(plan: Plan, change: PlanChange): Promise<void> {
    this.#sent = [];
    await this.#upkeep.sync(plan, change);
  }

  /** Stops watching. The rules stay, so that traffic goes on. */
  async stop(): Promise<void> {
    await this.#upkeep.stop();
  }

  #synced(syncs: readonly FamilySync[]): void {
    reportSyncs(logger, syncs, formatDrift);
    for (const sync of syncs) this.#lastSyncs.set(sync.family, sync);
    this.#sent = syncs.map(({ sent }) => sent);
    this.#options.synced?.(syncs);
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
}

function isRefusal(error: unknown): boolean {
  return error instanceof RestoreError;
}

async function usableFamilies(
  access: RulesAccess,
  families: readonly Family[],
): Promise<Family[]> {
  const usable: Family[] = [];
  const problems: string[] = [];
  for (const family of families) {
    try {
      await access.readPieces(family, () => {});
      usable.push(family);
    } catch (error) {
      problems.push(messageOf(error));
    }
  }
  if (usable.length === 0) throw new Error(`iptables cannot be used: ${problems.join("; ")}`);
  for (const problem of problems) logger.warn("one family is left out: {problem}", { problem });
  return usable;
}
