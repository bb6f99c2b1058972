/**
 * iptables mode's rules as a witness: as of the last sync, or as the node has them this moment.
 *
 * @module
 */

import { render } from "../../dataplane/iptables/render.ts";
import type { RuleSet } from "../../dataplane/iptables/rules.ts";
import { parseSave } from "../../dataplane/iptables/save_text.ts";
import type { Answered, Flow } from "../../explain/answer.ts";
import { type AnsweredByRules, answerer } from "../../explain/iptables/explain.ts";
import { type RenderedSource, renderedSources } from "../../explain/iptables/rendered_source.ts";
import { lineMoves, type Resting, restingIn, restingOn } from "../../explain/iptables/resting.ts";
import { type Family, familyOf } from "../../net/address.ts";
import type { NodeInfo } from "../../plan/plan.ts";
import type { ApiState } from "../state.ts";
import { SyncedRules } from "./synced_rules.ts";

/** What an answer rests on. */
export interface RestsOn {
  readonly node: NodeInfo;
  readonly family: Family;
  readonly on: Resting;
}

/** The same in later rules. */
export interface StillRests {
  readonly rests: RestsOn;
  /** Where the lines of the answer's rules have gone; null: nowhere. */
  readonly moves: ((line: number) => number) | null;
}

/** What was made of the rules of all families. */
interface Evaluated {
  readonly of: readonly (RuleSet | null)[];
  readonly sources: Readonly<Partial<Record<Family, readonly RenderedSource[]>>>;
  readonly ask: (flow: Flow) => AnsweredByRules;
}

/** The rules of all families; what was made of them is kept while they stay. */
export class IptablesView extends SyncedRules<RuleSet> {
  readonly #state: ApiState;
  #evaluated: Evaluated | null = null;

  constructor(state: ApiState) {
    super(
      state,
      (plan, family) => render(plan, family, state.ruleOptions),
      () => state.node.iptables,
    );
    this.#state = state;
  }

  /** Where a flow goes by {@link rules}, and what of them that rests on. Throws TooManyWays. */
  ask(flow: Flow): Answered & { readonly rests: RestsOn } {
    const { sources, ask } = this.#evaluate();
    const { answer, sender, asked } = ask(flow);
    const family = familyOf(flow.dest);
    const { node } = this.#state.plan();
    const on = restingOn(sources[family] ?? [], asked);
    return { answer, sender, rests: { node, family, on } };
  }

  /** What an answer of {@link ask} rests on in the rules of now; null when any of it is another. */
  stillRests(rests: RestsOn): StillRests | null {
    const { node, family, on } = rests;
    if (node !== this.#state.plan().node) return null;
    const now = restingIn(this.#evaluate().sources[family] ?? [], on);
    if (now === null) return null;
    return { rests: now === on ? rests : { node, family, on: now }, moves: lineMoves(on, now) };
  }

  /** What answers by the rules that the node has of a family this moment. */
  async read(
    family: Family,
    saved: (family: Family) => Promise<string>,
  ): Promise<(flow: Flow) => Answered> {
    const tables = { [family]: parseSave(await saved(family)) };
    return answerer({ tables, nodeAddresses: this.#state.plan().node.addresses });
  }

  #evaluate(): Evaluated {
    const of = this.synced();
    const known = this.#evaluated;
    if (known !== null && of.every((rules, i) => rules === known.of[i])) return known;
    const sources = Object.fromEntries(
      of.filter((rules) => rules !== null).map((rules) => [
        rules.family,
        renderedSources(rules, known?.sources[rules.family]),
      ]),
    );
    const nodeAddresses = this.#state.plan().node.addresses;
    return this.#evaluated = { of, sources, ask: answerer({ tables: sources, nodeAddresses }) };
  }
}
