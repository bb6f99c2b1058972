/**
 * What questions need of the plan in another form, made once per revision of the plan.
 *
 * @module
 */

import type { Answer, Answered, AnswerInShort, Flow } from "../explain/answer.ts";
import { answerByPlan } from "../explain/from_plan.ts";
import { FrontendIndex } from "../plan/frontend_index.ts";
import { podsByAddress } from "./conntrack/join.ts";
import { perRevision } from "./per_revision.ts";
import type { ApiState } from "./state.ts";
import { IptablesView, type RestsOn } from "./witness/iptables_view.ts";
import { IpvsView } from "./witness/ipvs_view.ts";
import { NftablesView } from "./witness/nftables_view.ts";

/** An answer by rules; without `rests` it rests on all that there are. */
export interface Lasting<Said extends AnswerInShort = Answer> extends Answered<Said> {
  readonly rests?: RestsOn;
}

/** Views of one proxy's plan. Each lives until the plan changes, or the rules on the node do. */
export class PlanViews {
  #index: { readonly of: FrontendIndex; revision: number } | null = null;
  readonly #pods: () => ReadonlyMap<string, string>;
  #surroundings: readonly unknown[] = [];

  /** iptables mode's rules as a witness. */
  readonly iptables: IptablesView;
  /** ipvs mode's state as a witness. */
  readonly ipvs: IpvsView;
  /** nftables mode's rules as a witness. */
  readonly nftables: NftablesView;

  constructor(private readonly state: ApiState) {
    this.iptables = new IptablesView(state);
    this.ipvs = new IpvsView(state, () => this.index);
    this.nftables = new NftablesView(state);
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

  /**
   * What answers about a frontend that stays the same rest on besides: another object when any of it
   * is. Of rules that is all of them.
   */
  get surroundings(): object {
    const parts = [this.state.plan().node, ...this.#rulesOfMode()];
    const known = this.#surroundings;
    const same = parts.length === known.length && parts.every((part, i) => part === known[i]);
    if (!same) this.#surroundings = parts;
    return this.#surroundings;
  }

  #rulesOfMode(): readonly unknown[] {
    switch (this.state.mode) {
      case "iptables":
        return this.iptables.synced();
      case "ipvs":
        return this.ipvs.synced();
      case "nftables":
        return this.nftables.synced();
      default:
        return [];
    }
  }

  /** Where a flow goes by the plan. */
  byPlan(flow: Flow): Answered<AnswerInShort> {
    return answerByPlan(flow, this.state.plan(), this.index);
  }

  /** Where a flow goes by the rules of the mode that runs. Throws TooManyWays. */
  byRules(flow: Flow): Lasting {
    switch (this.state.mode) {
      case "ipvs":
        return this.ipvs.ask(flow);
      case "nftables":
        return this.nftables.ask(flow);
      default:
        return this.iptables.ask(flow);
    }
  }
}
