/**
 * What happened to a packet, step by step. Most ways of one packet share most of their steps, and
 * most packets that come by a rule see it do the same.
 *
 * @module
 */

import type { Step } from "../answer.ts";

/** The steps behind a packet, the latest first. */
export interface Trail {
  readonly step: Step;
  /** The comment of the rule that acted. */
  readonly comment: string | null;
  readonly before: Trail | null;
}

/** Further steps of one flow: those that say the same are one and the same object. */
export class OtherSteps {
  /** By text, then by action: a rule may do something else to each of many ways. */
  readonly #known = new Map<string, Map<string, Step[]>>();

  once(step: Step): Step {
    let actions = this.#known.get(step.text);
    if (actions === undefined) this.#known.set(step.text, actions = new Map());
    const alike = actions.get(step.action);
    if (alike === undefined) {
      actions.set(step.action, [step]);
      return step;
    }
    const known = alike.find(({ hook, table, line }) =>
      hook === step.hook && table === step.table && line === step.line
    );
    if (known === undefined) alike.push(step);
    return known ?? step;
  }
}
