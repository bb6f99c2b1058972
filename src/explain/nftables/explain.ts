/**
 * Where flows go by the nftables rules of a node: kube-proxy's, ours, or anyone's, from what
 * `nft list ruleset` shows.
 *
 * @module
 */

import type { UnreadTable } from "../../dataplane/nftables/access.ts";
import type { Ruleset } from "../../dataplane/nftables/language/ast.ts";
import { type Family, familyOf } from "../../net/address.ts";
import type { Answer, Answered, Flow, UnknownRule } from "../answer.ts";
import { answerOf } from "../netfilter/answer_of.ts";
import type { InterfaceRoute, World } from "../netfilter/world.ts";
import { evaluate } from "./evaluator.ts";
import { type Hooks, hooksOf, seesPacketsOf } from "./hooks.ts";
import { serviceOf } from "./service.ts";
import { NodeTable, type TableSource, wholeTable } from "./tables.ts";

/** The node that the rules are on. Addresses are canonical. */
export interface NftablesNode {
  /** Tables of all families, in the order in which they were made. */
  readonly tables: readonly TableSource[];
  /** Those of which nothing else is known. */
  readonly unread?: readonly UnreadTable[];
  /** The node's own addresses, the primary one of each family first; loopback is added to them. */
  readonly nodeAddresses: readonly string[];
  /** Link names by network; without them, rules about links may be unknown. */
  readonly routes?: readonly InterfaceRoute[];
}

/** The tables of rules that are there as a whole. */
export function tablesOf({ tables }: Ruleset): TableSource[] {
  return tables.map(wholeTable);
}

/**
 * Answers one flow after another about the same node: what was understood of its rules is kept.
 * The function throws TooManyWays.
 */
export function explainer(node: NftablesNode): (flow: Flow) => Answer {
  const ask = answerer(node);
  return (flow) => ask(flow).answer;
}

/** Like {@link explainer}, for who keeps answers: each says for which other sources it is one. */
export function answerer(node: NftablesNode): (flow: Flow) => Answered {
  const tables = node.tables.map((source) => new NodeTable(source));
  const world: World = {
    nodeAddresses: node.nodeAddresses,
    virtualAddresses: new Set(),
    routes: node.routes ?? [],
    sets: new Map(),
    recent: new Map(),
  };
  const families = new Map<Family, FamilyRules>();
  return (flow) => {
    const family = familyOf(flow.dest);
    let rules = families.get(family);
    if (rules === undefined) {
      families.set(family, rules = familyRules(tables, node.unread ?? [], family));
    }
    const { hooks, missing } = rules;
    const evaluation = evaluate(flow, hooks, world);
    const unknown = [...missing, ...evaluation.unknown];
    const answer = answerOf(flow.name, { ...evaluation, unknown }, serviceOf);
    return { answer, sender: evaluation.sender };
  };
}

interface FamilyRules {
  readonly hooks: Hooks;
  /** Tables that packets pass, of which nothing is known. */
  readonly missing: readonly UnknownRule[];
}

function familyRules(
  tables: readonly NodeTable[],
  unread: readonly UnreadTable[],
  family: Family,
): FamilyRules {
  const missing = unread.filter((table) => seesPacketsOf(table.family, family)).map((
    { family, name, reason },
  ): UnknownRule => ({
    table: `${family} ${name}`,
    chain: "all chains",
    rule: null,
    line: null,
    text: `table ${family} ${name}`,
    reason: `the table was not read: ${reason}`,
  }));
  return { hooks: hooksOf(tables, family), missing };
}

/** The answers about flows, in their order. Throws TooManyWays. */
export function explainFlows(flows: readonly Flow[], node: NftablesNode): Answer[] {
  return flows.map(explainer(node));
}

/** The answer about one flow. Throws TooManyWays. */
export function explain(flow: Flow, node: NftablesNode): Answer {
  return explainFlows([flow], node)[0];
}
