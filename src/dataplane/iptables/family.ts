/**
 * The rules of one IP family on one node, kept in step with the plan.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import { type Plan, type PlanChange, touchedServices } from "../../plan/plan.ts";
import type { RuleSync } from "../netfilter.ts";
import { readNodeRules, type RulesAccess } from "./apply.ts";
import { type Drift, findDrift } from "./drift.ts";
import type { RuleOptions } from "./options.ts";
import { beginRendering, renderChange, type Rendered } from "./render.ts";
import type { RuleSet, TableName } from "./rules.ts";
import type { ServiceFragment } from "./service_fragment.ts";
import { Tally } from "./tally.ts";
import { diffNode, diffServices } from "./transaction.ts";
import { type TableChanges, transactionPieces } from "./transaction_text.ts";

/** What one sync did in one family. */
export interface FamilySync extends RuleSync<Drift> {
  /** Lines of rules and chains sent to iptables-restore. */
  readonly lines: number;
  /** Rules among them, in the proxy's own chains. */
  readonly written: Readonly<Record<TableName, number>>;
}

/** Keeps the rules of one family. */
export class FamilyRules {
  readonly family: Family;
  readonly #access: RulesAccess;
  /** What the node was last brought to; null before the first success. */
  #rules: RuleSet | null = null;
  /** Whether the node may have anything else than {@link rules}. */
  #doubtful = true;
  /** Doubt came up during the sync that runs. */
  #doubtedAgain = false;

  constructor(family: Family, access: RulesAccess) {
    this.family = family;
    this.#access = access;
  }

  /** The rules that the node has as of the last successful sync. */
  get rules(): RuleSet | null {
    return this.#rules;
  }

  /** Whether the next sync has to read the node's rules. */
  get doubtful(): boolean {
    return this.#doubtful;
  }

  /** Has the next sync read the node's rules. */
  doubt(): void {
    this.#doubtful = this.#doubtedAgain = true;
  }

  /** Brings the node to the plan by reading its rules and sending what is different. */
  async syncAll(plan: Plan, options: RuleOptions): Promise<FamilySync> {
    const former = this.#doubtful ? null : this.#rules;
    this.#begin();
    const node = await readNodeRules(this.#access, this.family);
    const { arriving, ...rendered } = beginRendering(plan, this.family, options);
    const changes = diffNode(node, rendered.rules, released(arriving));
    const tally = await this.#send(rendered, changes);
    const drift = former === null || tally.lines === 0 ? [] : findDrift(node, former);
    return { ...tally.of(this.family), full: true, problems: rendered.problems, drift };
  }

  /** Brings the node from the last synced plan to this one by sending what changed. */
  async syncChange(plan: Plan, change: PlanChange, options: RuleOptions): Promise<FamilySync> {
    const former = this.#rules;
    if (former === null || this.#doubtful) throw new Error("a change of rules that are not known");
    this.#begin();
    const rendered = renderChange(former, plan.node, change, options);
    const diffs = diffServices(former, rendered.rules, touchedServices(change));
    const tally = await this.#send(
      rendered,
      diffs.map((diff) => ({ table: diff.table, parts: [diff] })),
    );
    for (const fragment of rendered.fresh) fragment.release();
    return { ...tally.of(this.family), full: false, problems: rendered.problems, drift: [] };
  }

  /** What others have changed since the last sync. */
  async drift(): Promise<Drift[]> {
    if (this.#rules === null) return [];
    return findDrift(await readNodeRules(this.#access, this.family), this.#rules);
  }

  /** Until it has succeeded, a sync leaves the node in a state that is not known. */
  #begin(): void {
    this.#doubtful = true;
    this.#doubtedAgain = false;
  }

  /** The rules need to be complete only when the changes are. */
  async #send({ rules }: Rendered, changes: Iterable<TableChanges>): Promise<Tally> {
    const tally = new Tally();
    const pieces = tally.textOf(
      transactionPieces(tally.changesOf(changes), this.#access.chainLimit),
    );
    const text = fromFirst(pieces);
    if (text !== null) await this.#access.restore(this.family, text);
    this.#rules = rules;
    this.#doubtful = this.#doubtedAgain;
    return tally;
  }
}

/** Each without its own chains once it has been used. */
function* released(fragments: Iterable<ServiceFragment>): Generator<ServiceFragment> {
  for (const fragment of fragments) {
    yield fragment;
    fragment.release();
  }
}

/** A text in pieces from the first that is not empty; null when all are. */
function fromFirst(pieces: Generator<string>): Iterable<string> | null {
  for (let next = pieces.next(); !next.done; next = pieces.next()) {
    const { value } = next;
    if (value === "") continue;
    return (function* () {
      yield value;
      yield* pieces;
    })();
  }
  return null;
}
