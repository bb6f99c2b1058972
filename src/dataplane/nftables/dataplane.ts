/**
 * nftables mode: the node's netfilter forwards, by kube-proxy's rules of nftables.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import type { EngineHandle } from "../../engine/handle.ts";
import { messageOf } from "../../errors.ts";
import { NetworkNamespace } from "../../linux/namespace.ts";
import type { Family } from "../../net/address.ts";
import type { Plan, PlanChange } from "../../plan/plan.ts";
import type { DataPlane, DataPlaneObserver, Difference, SentRules } from "../dataplane.ts";
import { driftAtRest, reportSyncs } from "../netfilter.ts";
import { type KeptFamily, Upkeep, type UpkeepOptions } from "../upkeep.ts";
import { type NftablesAccess, type ReadTable, RefusedTransaction } from "./access.ts";
import { differencesOf, type Drift, formatDrift } from "./drift.ts";
import { FamilyRules, type FamilySync } from "./family.ts";
import { NetlinkAccess } from "./kernel/netlink_access.ts";
import { CHAIN } from "./names.ts";
import { DEFAULT_NFTABLES_OPTIONS, loopbackNetworks, type NftablesRuleOptions } from "./options.ts";
import { checkKernel, removesChains, SKIP_KERNEL_CHECK } from "./kernel_release.ts";
import type { RuleSet } from "./rules.ts";

const logger = getLogger(["switchyard", "nftables"]);

/** How to run nftables mode. */
export interface NftablesOptions extends UpkeepOptions {
  /** Answers queries; it learns each plan when the node has it. */
  readonly engine: EngineHandle;
  readonly families: readonly Family[];
  /** Flags that the rules depend on; kube-proxy's defaults where absent. */
  readonly rules?: Partial<NftablesRuleOptions>;
  /** Descriptor of the node's network namespace; absent: this process's own. */
  readonly namespaceFd?: number;
  /** Default: by netlink. It is closed with the data plane. */
  readonly access?: NftablesAccess;
  /**
   * Whether the kernel takes a chain away together with what leads to it; default: if it is new
   * enough.
   */
  readonly removesChains?: boolean;
  /** Told what each sync did. */
  readonly synced?: (syncs: readonly FamilySync[]) => void;
}

/** nftables mode on one node. */
export class NftablesDataPlane implements DataPlane {
  readonly mode = "nftables";
  readonly engine: EngineHandle;
  readonly #namespace: NetworkNamespace | null;
  readonly #access: NftablesAccess;
  readonly #families: readonly FamilyRules[];
  readonly #upkeep: Upkeep<FamilySync>;
  readonly #options: NftablesOptions;
  readonly #ruleOptions: NftablesRuleOptions;
  readonly #lastSyncs = new Map<Family, FamilySync>();
  #sent: readonly SentRules[] = [];
  #watching: Promise<void> | null = null;

  private constructor(
    options: NftablesOptions,
    namespace: NetworkNamespace | null,
    access: NftablesAccess,
  ) {
    this.engine = options.engine;
    this.#options = options;
    this.#namespace = namespace;
    this.#access = access;
    const kernel = { removesChains: options.removesChains ?? removesChains(Deno.osRelease()) };
    this.#families = options.families.map((family) => new FamilyRules(family, access, kernel));
    this.#ruleOptions = { ...DEFAULT_NFTABLES_OPTIONS, ...options.rules };
    this.#upkeep = new Upkeep(
      this.#families.map((rules) => this.#kept(rules)),
      options,
      {
        logger,
        engine: options.engine,
        inside: (fn) => this.inside(fn),
        isRefusal,
        synced: (syncs) => this.#synced(syncs),
        programmed: () => this.#watch(),
      },
    );
  }

  #kept(rules: FamilyRules): KeptFamily<FamilySync> {
    return {
      family: rules.family,
      get doubtful() {
        return rules.doubtful;
      },
      doubt: () => rules.doubt(),
      syncAll: (plan) => rules.syncAll(plan, this.#ruleOptions),
      syncChange: (plan, change) => rules.syncChange(plan, change, this.#ruleOptions),
      lost: () => rules.lost(),
    };
  }

  /**
   * Sees whether the node can do it; changes nothing yet. Needs CAP_NET_ADMIN in the namespace.
   * Rejects with one line when the kernel is too old, or has no nf_tables.
   */
  static async start(options: NftablesOptions): Promise<NftablesDataPlane> {
    const { namespaceFd, families } = options;
    const namespace = namespaceFd === undefined ? null : NetworkNamespace.fromFd(namespaceFd);
    if ((Deno.env.get(SKIP_KERNEL_CHECK) ?? "") === "") checkKernel(Deno.osRelease());
    const access = options.access ?? inside(namespace, () => NetlinkAccess.open());
    try {
      // A node that refuses to tell will refuse all else.
      for (const family of families) await tryFamily(access, family);
    } catch (error) {
      await access.close();
      throw error;
    }
    for (const network of loopbackNetworks({ ...DEFAULT_NFTABLES_OPTIONS, ...options.rules })) {
      logger.warn("--nodeport-addresses {network}: nftables mode serves no node ports there", {
        network,
      });
    }
    return new NftablesDataPlane(options, namespace, access);
  }

  get families(): readonly Family[] {
    return this.#families.map(({ family }) => family);
  }

  /** The rules that the node has as of the last successful sync. */
  rules(family: Family): RuleSet | null {
    return this.#families.find((rules) => rules.family === family)?.rules ?? null;
  }

  /** All tables that a family's packets pass, as the node has them. */
  read(family: Family): Promise<readonly ReadTable[]> {
    return this.#access.readAll(family);
  }

  /** What the last sync did; null before the first and in families not served. */
  lastSync(family: Family): FamilySync | null {
    return this.#lastSyncs.get(family) ?? null;
  }

  /** How often chains that are not used could not be taken away. */
  cleanupFailures(family: Family): number {
    return this.#families.find((rules) => rules.family === family)?.cleanupFailures ?? 0;
  }

  sent(): readonly SentRules[] {
    return this.#sent;
  }

  observe(observer: DataPlaneObserver): void {
    this.#upkeep.observe(observer);
  }

  /** Runs a synchronous function in the node's network namespace. */
  inside<T>(fn: () => T): T {
    return inside(this.#namespace, fn);
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
   * compare with the node's own table, so that nothing that happened to it lasts.
   */
  async sync(plan: Plan, change: PlanChange): Promise<void> {
    this.#sent = [];
    await this.#upkeep.sync(plan, change);
  }

  /** Stops watching. The rules stay, so that traffic goes on. */
  async stop(): Promise<void> {
    await this.#upkeep.stop();
    await this.#access.close();
    await this.#watching;
  }

  /** From the first sync on, as the kernel would tell each rule of it. */
  #watch(): void {
    this.#watching ??= this.#access.watch((family) => this.#upkeep.noticed(family))
      .catch((error) =>
        logger.warn("what others change is looked for from time to time only: {error}", {
          error: messageOf(error),
        })
      );
  }

  #synced(syncs: readonly FamilySync[]): void {
    reportSyncs(logger, syncs, formatDrift);
    for (const sync of syncs) this.#lastSyncs.set(sync.family, sync);
    this.#sent = syncs.map(({ sent }) => sent);
    this.#options.synced?.(syncs);
  }
}

function inside<T>(namespace: NetworkNamespace | null, fn: () => T): T {
  return namespace === null ? fn() : namespace.run(fn);
}

async function tryFamily(access: NftablesAccess, family: Family): Promise<void> {
  try {
    await access.readChain(family, CHAIN.services);
  } catch (error) {
    throw new Error(`nftables cannot be used for ${family}: ${messageOf(error)}`);
  }
}

function isRefusal(error: unknown): boolean {
  return error instanceof RefusedTransaction;
}
