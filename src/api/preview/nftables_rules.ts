/**
 * What a change of the plan would change of nftables mode's rules.
 *
 * @module
 */

import { isDeepStrictEqual } from "node:util";
import { diffNode, diffServices } from "../../dataplane/nftables/diff.ts";
import { TABLE, tableFamily } from "../../dataplane/nftables/names.ts";
import { nftablesContext, type NftablesRuleOptions } from "../../dataplane/nftables/options.ts";
import { render, renderChange } from "../../dataplane/nftables/render.ts";
import { type RuleSet, tableOf } from "../../dataplane/nftables/rules.ts";
import { headLines, partLines } from "../../dataplane/nftables/structure.ts";
import { transactionPieces } from "../../dataplane/nftables/transaction_text.ts";
import { changeOfPlan, type RuleChange, type RuleForecast, touchedBy, without } from "./rules.ts";

/** What nftables mode would change in a family, from the rules that it has. */
export function nftablesChange(
  { after, change }: Pick<RuleForecast, "after" | "change">,
  previous: RuleSet,
  options: NftablesRuleOptions,
): RuleChange {
  const { family } = previous;
  const same = change.node === null &&
    isDeepStrictEqual(nftablesContext(family, after, options), previous.context);
  const { rules, problems } = same
    ? renderChange(previous, change)
    : render(after, family, options);
  const touched = (same ? touchedBy(change) : null) ??
    new Set([...previous.services.keys(), ...rules.services.keys()]);
  const keys = [...touched].sort();
  const had = linesOf(previous, keys);
  const has = linesOf(rules, keys);
  return {
    family,
    added: without(has, had),
    removed: without(had, has),
    text: transactionOf(previous, rules, same ? keys : null),
    problems: problems.map(({ service, message }) => `Service ${service}: ${message}`),
  };
}

/** The same where it is not the mode that runs. */
export const nftablesChangeOfPlan = changeOfPlan(render, nftablesChange);

function linesOf({ head, services }: RuleSet, keys: readonly string[]): string[] {
  const parts = keys.map((key) => services.get(key)?.render()).filter((one) => one !== undefined);
  return [...headLines(head), ...parts.flatMap((one) => partLines(one, head.sets))];
}

/** @param keys the Services that are different; null: more than Services is. */
function transactionOf(previous: RuleSet, rules: RuleSet, keys: readonly string[] | null): string {
  const options = { removesChains: true };
  const operations = keys === null
    ? diffNode(tableOf(previous), rules, options)
    : diffServices(previous, rules, keys, options);
  const family = tableFamily(rules.family);
  return [...transactionPieces({ family, table: TABLE, operations })].join("");
}
