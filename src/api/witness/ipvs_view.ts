/**
 * ipvs mode's state as a witness: as of the last sync, or as the node has it this moment.
 *
 * @module
 */

import { parseSave } from "../../dataplane/iptables/save_text.ts";
import { JUMPS } from "../../dataplane/ipvs/jumps.ts";
import { DEFAULT_IPVS_OPTIONS } from "../../dataplane/ipvs/options.ts";
import { render } from "../../dataplane/ipvs/render.ts";
import type { IpvsState } from "../../dataplane/ipvs/state.ts";
import type { Answered, Flow } from "../../explain/answer.ts";
import { servicePortNaming, stateAnswerer } from "../../explain/ipvs/explain.ts";
import type { Family } from "../../net/address.ts";
import type { FrontendIndex } from "../../plan/frontend_index.ts";
import type { ApiState, NodeServers } from "../state.ts";

type Ask = (flow: Flow) => Answered;

/** Answers by the states of all families; what was understood of them is kept while they stay. */
export class IpvsView {
  readonly #state: ApiState;
  readonly #index: () => FrontendIndex;
  #evaluated: {
    readonly states: readonly IpvsState[];
    readonly index: FrontendIndex;
    readonly ask: Ask;
  } | null = null;
  #rendered: { readonly revision: number; readonly states: readonly IpvsState[] } | null = null;

  constructor(state: ApiState, index: () => FrontendIndex) {
    this.#state = state;
    this.#index = index;
  }

  /** Where a flow goes as of the last sync; by the plan where none was made. Throws TooManyWays. */
  ask(flow: Flow): Answered {
    const states = this.synced();
    const index = this.#index();
    const known = this.#evaluated;
    const same = known !== null && known.index === index &&
      known.states.length === states.length &&
      known.states.every((state, i) => state === states[i]);
    if (same) return known.ask(flow);
    const ask = this.#answerer(states, index);
    this.#evaluated = { states, index, ask };
    return ask(flow);
  }

  /** What answers by all that the node has of a family this moment. */
  async read(family: Family, node: NodeServers): Promise<Ask> {
    const { state, saved } = await node.read(family);
    return this.#answerer([state], this.#index(), { [family]: parseSave(saved) });
  }

  #answerer(
    states: readonly IpvsState[],
    index: FrontendIndex,
    tables?: Parameters<typeof stateAnswerer>[0]["tables"],
  ): Ask {
    const nodeAddresses = this.#state.plan().node.addresses;
    const used = this.#state.programming;
    return stateAnswerer(
      { states, jumps: JUMPS, nodeAddresses, used, tables },
      servicePortNaming(index),
    );
  }

  /** The states of the last sync; by the plan where none was made. */
  synced(): readonly IpvsState[] {
    const { node, families } = this.#state;
    if (node.ipvs === undefined) return this.#planned();
    return families.flatMap((family) => node.ipvs!.state(family) ?? []);
  }

  #planned(): readonly IpvsState[] {
    const { families, ipvsOptions = DEFAULT_IPVS_OPTIONS } = this.#state;
    const revision = this.#state.revision();
    if (this.#rendered?.revision !== revision) {
      const plan = this.#state.plan();
      const states = families.map((family) => render(plan, family, ipvsOptions).state);
      this.#rendered = { revision, states };
    }
    return this.#rendered!.states;
  }
}
