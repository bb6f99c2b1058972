/**
 * The rules of one IP family on one node, kept in step with the plan.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import type { Plan, PlanChange } from "../../plan/plan.ts";
import { type SentRules, sentRules } from "../dataplane.ts";
import type { RulesAccess } from "./apply.ts";
import { countLines, countRuleLines, type TableDiff } from "./diff.ts";
import { type Drift, findDrift } from "./drift.ts";
import type { RuleOptions } from "./options.ts";
import { readRules } from "./read.ts";
import { render, renderChange, type Rendered, type RenderProblem } from "./render.ts";
import type { RuleSet, TableName } from "./rules.ts";
import { diffNode, diffServices } from "./transaction.ts";
import { transactionText } from "./transaction_text.ts";

/** What one sync did in one family. */
export interface FamilySync {
  readonly family: Family;
  /** The node's rules were read and compared; else only changed Services were looked at. */
  readonly full: boolean;
  /** Lines of rules and chains sent to iptables-restore. */
  readonly lines: number;
  /** What was sent: input of iptables-restore. */
  readonly sent: SentRules;
  /** Rules among them, in the proxy's own chains. */
  readonly written: Readonly<Record<TableName, number>>;
  /** Services left out of the rules, of those that were rendered. */
  readonly problems: readonly RenderProblem[];
  /** What others had changed since the last sync, now put right. */
  readonly drift: readonly Drift[];
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
    const [text, rendered] = await bothOf(
      this.#access.read(this.family),
      () => render(plan, this.family, options),
    );
    const node = readRules(text, this.family);
    const diffs = diffNode(node, rendered.rules);
    const differs = diffs.some((diff) => countLines(diff) > 0);
    const drift = former === null || !differs ? [] : findDrift(node, former);
    return await this.#send(rendered, diffs, { full: true, drift });
  }

  /** Brings the node from the last synced plan to this one by sending what changed. */
  async syncChange(plan: Plan, change: PlanChange, options: RuleOptions): Promise<FamilySync> {
    const former = this.#rules;
    if (former === null || this.#doubtful) throw new Error("a change of rules that are not known");
    this.#begin();
    const rendered = renderChange(former, plan.node, change, options);
    const changed = new Set([
      ...change.updated.map(({ namespace, name }) => `${namespace}/${name}`),
      ...change.removed,
    ]);
    const diffs = diffServices(former, rendered.rules, changed);
    return await this.#send(rendered, diffs, { full: false, drift: [] });
  }

  /** What others have changed since the last sync. */
  async drift(): Promise<Drift[]> {
    if (this.#rules === null) return [];
    return findDrift(readRules(await this.#access.read(this.family), this.family), this.#rules);
  }

  /** Until it has succeeded, a sync leaves the node in a state that is not known. */
  #begin(): void {
    this.#doubtful = true;
    this.#doubtedAgain = false;
  }

  async #send(
    { rules, problems }: Rendered,
    diffs: readonly TableDiff[],
    about: Pick<FamilySync, "full" | "drift">,
  ): Promise<FamilySync> {
    const text = transactionText(diffs, this.#access.chainLimit);
    if (text !== null) await this.#access.restore(this.family, text);
    this.#rules = rules;
    this.#doubtful = this.#doubtedAgain;
    const lines = diffs.reduce((sum, diff) => sum + countLines(diff), 0);
    const written = { filter: countRuleLines(diffs, "filter"), nat: countRuleLines(diffs, "nat") };
    const sent = sentRules(this.family, lines, text ?? "");
    return { family: this.family, lines, sent, written, problems, ...about };
  }
}

/** Waits for one and does the other meanwhile; a failure of either is one of both. */
function bothOf<A, B>(begun: Promise<A>, meanwhile: () => B): Promise<[A, B]> {
  return Promise.all([begun, Promise.try(meanwhile)]);
}
