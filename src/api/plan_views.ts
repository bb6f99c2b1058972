/**
 * What questions need of the plan in another form, made once per revision of the plan.
 *
 * @module
 */

import { render } from "../dataplane/iptables/render.ts";
import type { RuleSet } from "../dataplane/iptables/rules.ts";
import type { Answered, AnswerInShort, Flow } from "../explain/answer.ts";
import { answerByPlan } from "../explain/from_plan.ts";
import { answerer } from "../explain/iptables/explain.ts";
import { renderedSources } from "../explain/iptables/rendered_source.ts";
import type { Family } from "../net/address.ts";
import { FrontendIndex } from "../plan/frontend_index.ts";
import { podsByAddress } from "./conntrack/join.ts";
import type { ApiState } from "./state.ts";
import { IpvsView } from "./witness/ipvs_view.ts";
import { NftablesView } from "./witness/nftables_view.ts";

/** Rules of iptables mode, and what of the plan they have not. */
export interface RenderedRules {
  readonly rules: ReadonlyMap<Family, RuleSet>;
  /** One line for each Service that is left out. */
  readonly problems: readonly string[];
}

/** Views of one proxy's plan. Each lives until the plan changes, or the rules on the node do. */
export class PlanViews {
  #index: { readonly of: FrontendIndex; revision: number } | null = null;
  readonly #rendered: () => RenderedRules;
  readonly #pods: () => ReadonlyMap<string, string>;
  #surroundings: readonly unknown[] = [];
  #evaluated: { readonly of: readonly (RuleSet | null)[]; readonly ask: Ask } | null = null;

  /** ipvs mode's state as a witness. */
  readonly ipvs: IpvsView;
  /** nftables mode's rules as a witness. */
  readonly nftables: NftablesView;

  constructor(private readonly state: ApiState) {
    this.ipvs = new IpvsView(state, () => this.index);
    this.nftables = new NftablesView(state);
    this.#rendered = perRevision(state, () => renderAll(state));
    this.#pods = perRevision(state, () => podsByAddress(state.plan()));
  }

  /** The frontends by what clients dial; not to be kept. */
  get index(): FrontendIndex {
    const revision = this.state.revision();
    if (this.#index === null) {
      this.#index = { of: new FrontendIndex(this.state.plan()), revision };
    } else if (this.#index.revision !== revision) {
      this.#index.of.follow(this.state.plan());
      this.#index.revision = revision;
    }
    return this.#index.of;
  }

  /** The pods that endpoints name, "namespace/name" by address. */
  get pods(): ReadonlyMap<string, string> {
    return this.#pods();
  }

  /** The rules that iptables mode would have for the plan. */
  get rendered(): RenderedRules {
    return this.#rendered();
  }

  /** The rules as of the last sync in iptables mode; those of the plan where none were programmed. */
  rules(family: Family): RuleSet | null {
    const { iptables } = this.state.node;
    return iptables === undefined
      ? this.rendered.rules.get(family) ?? null
      : iptables.rules(family);
  }

  /**
   * What answers about a frontend that stays the same rest on besides: another object when any of it
   * is. Of rules that is all of them, as answers say in which lines they are.
   */
  get surroundings(): object {
    const parts = [this.state.plan().node, ...this.#rulesOfMode()];
    const known = this.#surroundings;
    const same = parts.length === known.length && parts.every((part, i) => part === known[i]);
    if (!same) this.#surroundings = parts;
    return this.#surroundings;
  }

  #rulesOfMode(): readonly unknown[] {
    const { mode, families } = this.state;
    if (mode === "ipvs") return this.ipvs.synced();
    if (mode === "nftables") return this.nftables.synced();
    return mode === "iptables" ? families.map((family) => this.rules(family)) : [];
  }

  /** Where a flow goes by the plan. */
  byPlan(flow: Flow): Answered<AnswerInShort> {
    return answerByPlan(flow, this.state.plan(), this.index);
  }

  /** Where a flow goes by the rules of the mode that runs. Throws TooManyWays. */
  byRules(flow: Flow): Answered {
    switch (this.state.mode) {
      case "ipvs":
        return this.ipvs.ask(flow);
      case "nftables":
        return this.nftables.ask(flow);
      default:
        return this.#byIptables(flow);
    }
  }

  #byIptables(flow: Flow): Answered {
    const { families } = this.state;
    const of = families.map((family) => this.rules(family));
    if (this.#evaluated === null || of.some((rules, i) => rules !== this.#evaluated!.of[i])) {
      const tables = Object.fromEntries(
        of.flatMap((rules) => rules === null ? [] : [[rules.family, renderedSources(rules)]]),
      );
      const nodeAddresses = this.state.plan().node.addresses;
      this.#evaluated = { of, ask: answerer({ tables, nodeAddresses }) };
    }
    return this.#evaluated.ask(flow);
  }
}

type Ask = (flow: Flow) => Answered;

function renderAll(state: ApiState): RenderedRules {
  const { families, ruleOptions } = state;
  const plan = state.plan();
  const rendered = families.map((family) => render(plan, family, ruleOptions));
  const problems = rendered.flatMap(({ problems }) =>
    problems.map(({ service, message }) => `Service ${service}: ${message}`)
  );
  return {
    rules: new Map(rendered.map(({ rules }) => [rules.family, rules])),
    problems: [...new Set(problems)],
  };
}

/** Makes a value when it is asked for and the plan has changed since. */
function perRevision<T>(state: ApiState, make: () => T): () => T {
  let made: { readonly revision: number; readonly value: T } | null = null;
  return () => {
    const revision = state.revision();
    if (made === null || made.revision !== revision) made = { revision, value: make() };
    return made.value;
  };
}
