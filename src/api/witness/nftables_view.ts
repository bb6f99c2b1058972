/**
 * nftables mode's rules as a witness: as of the last sync, or as the node has them this moment.
 *
 * @module
 */

import type { UnreadTable } from "../../dataplane/nftables/access.ts";
import { isOwnTable } from "../../dataplane/nftables/names.ts";
import { DEFAULT_NFTABLES_OPTIONS } from "../../dataplane/nftables/options.ts";
import { render } from "../../dataplane/nftables/render.ts";
import type { RuleSet } from "../../dataplane/nftables/rules.ts";
import type { Answered, Flow } from "../../explain/answer.ts";
import { answerer } from "../../explain/nftables/explain.ts";
import { renderedTables } from "../../explain/nftables/rendered_source.ts";
import { type TableSource, wholeTable } from "../../explain/nftables/tables.ts";
import type { Family } from "../../net/address.ts";
import type { ApiState, NodeTables } from "../state.ts";
import { SyncedRules } from "./synced_rules.ts";

type Ask = (flow: Flow) => Answered;

/** What answers by the tables of a node. */
interface NodeWitness {
  /** By all that packets pass, whoever has made them. */
  readonly byAll: Ask;
  /** By the proxy's alone. */
  readonly byOwn: Ask;
}

/** The rules of all families; what was made of them is kept while they stay. */
export class NftablesView extends SyncedRules<RuleSet> {
  readonly #state: ApiState;
  #evaluated: { readonly of: readonly (RuleSet | null)[]; readonly ask: Ask } | null = null;

  constructor(state: ApiState) {
    super(
      state,
      (plan, family) => render(plan, family, state.nftablesOptions ?? DEFAULT_NFTABLES_OPTIONS),
      () => state.node.nftables,
    );
    this.#state = state;
  }

  /** Where a flow goes by {@link rules}. Throws TooManyWays. */
  ask(flow: Flow): Answered {
    const of = this.synced();
    if (this.#evaluated === null || of.some((rules, i) => rules !== this.#evaluated!.of[i])) {
      const tables = renderedTables(of.filter((rules) => rules !== null));
      this.#evaluated = { of, ask: this.#answerer(tables) };
    }
    return this.#evaluated.ask(flow);
  }

  /** What answers by the tables that the node has for a family this moment. */
  async read(family: Family, node: NodeTables): Promise<NodeWitness> {
    const tables: TableSource[] = [];
    const unread: UnreadTable[] = [];
    for (const table of await node.read(family)) {
      if ("reason" in table) unread.push(table);
      else tables.push(wholeTable(table));
    }
    const own = tables.filter(isOwnTable);
    const byOwn = this.#answerer(own);
    if (own.length === tables.length && unread.length === 0) return { byAll: byOwn, byOwn };
    return { byAll: this.#answerer(tables, unread), byOwn };
  }

  #answerer(tables: readonly TableSource[], unread: readonly UnreadTable[] = []): Ask {
    return answerer({ tables, unread, nodeAddresses: this.#state.plan().node.addresses });
  }
}
