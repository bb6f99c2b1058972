/**
 * nftables mode's rules as a witness: as of the last sync, or as the node has them this moment.
 *
 * @module
 */

import { DEFAULT_NFTABLES_OPTIONS } from "../../dataplane/nftables/options.ts";
import { render } from "../../dataplane/nftables/render.ts";
import type { RuleSet } from "../../dataplane/nftables/rules.ts";
import type { Family } from "../../net/address.ts";
import type { ApiState } from "../state.ts";

/** Rules that the plan would become, and what of the plan they have not. */
interface RenderedTables {
  readonly rules: ReadonlyMap<Family, RuleSet>;
  /** One line for each Service that is left out. */
  readonly problems: readonly string[];
}

/** The rules of all families; what was made of them is kept while they stay. */
export class NftablesView {
  readonly #state: ApiState;
  #rendered: { readonly revision: number; readonly tables: RenderedTables } | null = null;

  constructor(state: ApiState) {
    this.#state = state;
  }

  /** The rules that nftables mode would have for the plan. */
  get rendered(): RenderedTables {
    const revision = this.#state.revision();
    if (this.#rendered?.revision !== revision) {
      this.#rendered = { revision, tables: renderAll(this.#state) };
    }
    return this.#rendered!.tables;
  }

  /** The rules as of the last sync in nftables mode; those of the plan where none were programmed. */
  rules(family: Family): RuleSet | null {
    const { nftables } = this.#state.node;
    return nftables === undefined
      ? this.rendered.rules.get(family) ?? null
      : nftables.rules(family);
  }
}

function renderAll(state: ApiState): RenderedTables {
  const { families, nftablesOptions = DEFAULT_NFTABLES_OPTIONS } = state;
  const plan = state.plan();
  const rendered = families.map((family) => render(plan, family, nftablesOptions));
  const problems = rendered.flatMap(({ problems }) =>
    problems.map(({ service, message }) => `Service ${service}: ${message}`)
  );
  return {
    rules: new Map(rendered.map(({ rules }) => [rules.family, rules])),
    problems: [...new Set(problems)],
  };
}
