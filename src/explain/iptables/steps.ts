/**
 * What happened to a packet, step by step. Most ways of one packet share most of their steps, and
 * most packets that come by a rule see it do the same.
 *
 * @module
 */

import type { Step } from "../answer.ts";
import type { Hook } from "./packet.ts";

/** The steps behind a packet, the latest first. */
export interface Trail {
  readonly step: Step;
  /** The comment of the rule that acted. */
  readonly comment: string | null;
  readonly before: Trail | null;
}

/** Where a rule stands, and what it says. */
export type RulePlace = Pick<Step, "table" | "chain" | "rule" | "line" | "text">;

/** Steps of one rule that are kept. */
const MOST_KEPT = 16;

/** What one rule was seen to do: each step is one object, however many packets take it. */
export class RuleSteps {
  readonly #kept: Step[] = [];

  constructor(private readonly place: RulePlace) {}

  /** The step that a packet takes at a hook; those beyond the first few are kept by `others`. */
  take(hook: Hook, action: string, others: OtherSteps): Step {
    for (const step of this.#kept) if (step.action === action && step.hook === hook) return step;
    const { table, chain, rule, line, text } = this.place;
    const step = { hook, table, chain, rule, line, text, action };
    if (this.#kept.length === MOST_KEPT) return others.once(step);
    this.#kept.push(step);
    return step;
  }
}

/** Further steps of one flow: those that say the same are one and the same object. */
export class OtherSteps {
  readonly #steps = new Map<string, Step>();

  once(step: Step): Step {
    const key = `${step.hook} ${step.table} ${step.line} ${step.text} ${step.action}`;
    const known = this.#steps.get(key);
    if (known === undefined) this.#steps.set(key, step);
    return known ?? step;
  }
}
