/**
 * The rules of a mode that netfilter follows, as of the last sync or as the plan would have them.
 *
 * @module
 */

import type { RenderProblem } from "../../dataplane/dataplane.ts";
import type { Family } from "../../net/address.ts";
import type { Plan } from "../../plan/plan.ts";
import { perRevision } from "../per_revision.ts";
import type { ApiState } from "../state.ts";

/** Rules that the plan would become, and what of the plan they have not. */
interface RenderedRules<Rules> {
  readonly rules: ReadonlyMap<Family, Rules>;
  /** One line for each Service that is left out. */
  readonly problems: readonly string[];
}

/** How a mode renders a family's rules. */
export type RenderFamily<Rules> = (
  plan: Plan,
  family: Family,
) => { readonly rules: Rules; readonly problems: readonly RenderProblem[] };

/** The rules of all families. */
export class SyncedRules<Rules extends { readonly family: Family }> {
  readonly #families: () => readonly Family[];
  readonly #rendered: () => RenderedRules<Rules>;
  readonly #onNode: () => { rules(family: Family): Rules | null } | undefined;

  /** @param onNode the rules that were programmed; undefined: none were. */
  constructor(
    state: ApiState,
    render: RenderFamily<Rules>,
    onNode: () => { rules(family: Family): Rules | null } | undefined,
  ) {
    this.#families = () => state.families;
    this.#rendered = perRevision(state, () => renderAll(state, render));
    this.#onNode = onNode;
  }

  /** The rules that the mode would have for the plan. */
  get rendered(): RenderedRules<Rules> {
    return this.#rendered();
  }

  /** The rules as of the last sync in the mode; those of the plan where none were programmed. */
  rules(family: Family): Rules | null {
    const onNode = this.#onNode();
    return onNode === undefined ? this.rendered.rules.get(family) ?? null : onNode.rules(family);
  }

  /** What answers go by: {@link rules} of all families. */
  synced(): readonly (Rules | null)[] {
    return this.#families().map((family) => this.rules(family));
  }
}

function renderAll<Rules extends { readonly family: Family }>(
  state: ApiState,
  render: RenderFamily<Rules>,
): RenderedRules<Rules> {
  const plan = state.plan();
  const rendered = state.families.map((family) => render(plan, family));
  const problems = rendered.flatMap(({ problems }) =>
    problems.map(({ service, message }) => `Service ${service}: ${message}`)
  );
  return {
    rules: new Map(rendered.map(({ rules }) => [rules.family, rules])),
    problems: [...new Set(problems)],
  };
}
