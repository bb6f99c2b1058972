/**
 * The rules of one IP family on one node, kept in step with the plan.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { isDeepStrictEqual } from "node:util";
import { messageOf } from "../../errors.ts";
import type { Family } from "../../net/address.ts";
import { type Plan, type PlanChange, touchedServices } from "../../plan/plan.ts";
import type { SentRules } from "../dataplane.ts";
import type { RuleSync } from "../netfilter.ts";
import { type NftablesAccess, RefusedTransaction } from "./access.ts";
import { diffNode, diffServices } from "./diff.ts";
import { type Drift, findDrift } from "./drift.ts";
import { BASE_CHAIN, CHAIN, TABLE, tableFamily } from "./names.ts";
import { nftablesContext, type NftablesRuleOptions } from "./options.ts";
import { render, renderChange, type Rendered } from "./render.ts";
import type { RuleSet } from "./rules.ts";
import { haveSameRules } from "./same.ts";
import { StaleChains } from "./stale_chains.ts";
import { Tally } from "./tally.ts";
import type { Operation } from "./transaction.ts";

const logger = getLogger(["switchyard", "nftables"]);

/** What one sync did in one family. */
export interface FamilySync extends RuleSync<Drift> {
  /** Rules, elements, chains and the like that were made, filled or taken away. */
  readonly lines: number;
  /** What was sent, as input of `nft -f`. */
  readonly sent: SentRules;
}

/** What a family needs to know of its node. */
export interface FamilyOptions {
  /** The kernel takes a chain away together with what leads to it (6.2 and later). */
  readonly removesChains: boolean;
  /** Milliseconds. */
  readonly now?: () => number;
}

/** Keeps the rules of one family. */
export class FamilyRules {
  readonly family: Family;
  readonly #access: NftablesAccess;
  readonly #removesChains: boolean;
  readonly #stale: StaleChains;
  /** What the node was last brought to; null before the first success. */
  #rules: RuleSet | null = null;
  /** Whether the node may have anything else than {@link rules}. */
  #doubtful = true;
  /** Whether a sync has left it like them: what is otherwise, others have changed since. */
  #left = false;
  /** Doubt came up during the sync that runs. */
  #doubtedAgain = false;
  #cleanupFailures = 0;
  /** How often in a row the node refused what all of its table was compared for. */
  #refusals = 0;

  constructor(family: Family, access: NftablesAccess, { removesChains, now }: FamilyOptions) {
    this.family = family;
    this.#access = access;
    this.#removesChains = removesChains;
    this.#stale = new StaleChains(now);
  }

  /** The rules that the node has as of the last successful sync. */
  get rules(): RuleSet | null {
    return this.#rules;
  }

  /** How often chains that are not used could not be taken away. */
  get cleanupFailures(): number {
    return this.#cleanupFailures;
  }

  /** Whether the next sync has to read the node's table. */
  get doubtful(): boolean {
    return this.#doubtful;
  }

  /** Has the next sync read the node's table. */
  doubt(): void {
    this.#doubtful = this.#doubtedAgain = true;
  }

  /**
   * Brings the node to the plan by reading its table and sending what is different. When the node
   * has refused that twice, something in its table must be in the way, and all of it is made anew.
   */
  async syncAll(plan: Plan, options: NftablesRuleOptions): Promise<FamilySync> {
    const former = this.#left ? this.#rules : null;
    this.#begin();
    await this.#removeStale();
    const node = await this.#access.read(this.family);
    const rendered = render(plan, this.family, options);
    this.#stale.clear();
    const anew = this.#refusals >= REFUSALS_TO_GIVE_UP;
    let tally: Tally;
    try {
      tally = await this.#send(
        rendered,
        (diff) => diffNode(node, rendered.rules, { ...diff, anew }),
      );
    } catch (error) {
      if (error instanceof RefusedTransaction) this.#refusals++;
      throw error;
    }
    this.#refusals = 0;
    const drift = former === null || tally.lines === 0 ? [] : findDrift(node, former);
    return this.#done(true, tally, rendered, drift);
  }

  /**
   * Brings the node from the last synced plan to this one by sending what changed. Networks of
   * cluster IPs that are others have everything compared.
   */
  async syncChange(
    plan: Plan,
    change: PlanChange,
    options: NftablesRuleOptions,
  ): Promise<FamilySync> {
    const former = this.#rules;
    if (former === null || this.#doubtful) throw new Error("a change of rules that are not known");
    const context = nftablesContext(this.family, plan, options);
    if (!isDeepStrictEqual(context, former.context)) return await this.syncAll(plan, options);
    this.#begin();
    await this.#removeStale();
    const rendered = renderChange(former, change);
    const changed = touchedServices(change);
    const tally = await this.#send(
      rendered,
      (diff) => diffServices(former, rendered.rules, changed, diff),
    );
    return this.#done(false, tally, rendered, []);
  }

  /** What others have changed since the last sync. */
  async drift(): Promise<Drift[]> {
    if (this.#rules === null) return [];
    const drift = findDrift(await this.#access.read(this.family), this.#rules);
    return drift.filter(({ part, name }) => part !== "chain" || !this.#stale.has(name));
  }

  /** What was lost since the last sync, as by who flushes tables, in words, or null. */
  async lost(): Promise<string | null> {
    if (this.#rules === null) return null;
    const { chains } = this.#rules.head;
    for (const name of WATCHED_CHAINS) {
      const present = await this.#access.readChain(this.family, name);
      if (present === null) return "the table was removed";
      if (present.rules.length === 0) return "the table was flushed";
      const wanted = chains.find((chain) => chain.name === name)!;
      if (!haveSameRules(present.rules, wanted.rules)) return `someone changed chain ${name}`;
    }
    return null;
  }

  #done(
    full: boolean,
    { lines, sent }: Tally,
    { problems }: Rendered,
    drift: readonly Drift[],
  ): FamilySync {
    return { family: this.family, full, lines, sent, problems, drift };
  }

  /** Until it has succeeded, a sync leaves the node in a state that is not known. */
  #begin(): void {
    this.#doubtful = true;
    this.#left = this.#doubtedAgain = false;
  }

  async #send(
    { rules }: Rendered,
    diff: (options: Parameters<typeof diffNode>[2]) => Iterable<Operation>,
  ): Promise<Tally> {
    const tally = new Tally(this.family);
    const stale: string[] = [];
    const options = {
      removesChains: this.#removesChains,
      stale: (name: string) => stale.push(name),
    };
    const operations = fromFirst(tally.operationsOf(this.#unstaled(diff(options))));
    if (operations !== null) await this.#apply(operations);
    for (const name of stale) this.#stale.add(name);
    this.#rules = rules;
    this.#left = true;
    this.#doubtful = this.#doubtedAgain;
    return tally;
  }

  /** The same steps; chains that are made again need not be taken away. */
  *#unstaled(operations: Iterable<Operation>): Generator<Operation> {
    for (const operation of operations) {
      if (operation.action === "add-chain") this.#stale.delete(operation.name);
      yield operation;
    }
  }

  /** What fails here was kept by someone else, and is looked for again in the next full sync. */
  async #removeStale(): Promise<void> {
    const names = this.#stale.due();
    if (names.length === 0) return;
    try {
      await this.#apply(names.map((name) => ({ action: "delete-chain", name })));
    } catch (error) {
      if (!(error instanceof RefusedTransaction)) throw error;
      this.#cleanupFailures++;
      logger.warn("chains that are not used stay: {error}", { error: messageOf(error) });
    }
    for (const name of names) this.#stale.delete(name);
  }

  async #apply(operations: Iterable<Operation>): Promise<void> {
    const family = tableFamily(this.family);
    await this.#access.apply({ family, table: TABLE, operations });
  }
}

/** So often may chance be the cause. */
const REFUSALS_TO_GIVE_UP = 2;

/** A base chain, which a flush empties, and one of those that it leads to. */
const WATCHED_CHAINS = [BASE_CHAIN.natPrerouting, CHAIN.services];

/** All steps if there are any, else null. */
function fromFirst(operations: Generator<Operation>): Iterable<Operation> | null {
  const first = operations.next();
  if (first.done) return null;
  return (function* () {
    yield first.value;
    yield* operations;
  })();
}
