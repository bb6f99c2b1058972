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
  readonly #byText = new Map<string, Step[]>();

  once(step: Step): Step {
    const alike = this.#byText.get(step.text);
    if (alike === undefined) {
      this.#byText.set(step.text, [step]);
      return step;
    }
    const known = alike.find(({ hook, table, line, action }) =>
      hook === step.hook && table === step.table && line === step.line && action === step.action
    );
    if (known === undefined) alike.push(step);
    return known ?? step;
  }
}
