/**
 * What a change of the plan would change of iptables mode's rules.
 *
 * @module
 */

import type { RuleOptions } from "../../dataplane/iptables/options.ts";
import { render, renderChange } from "../../dataplane/iptables/render.ts";
import { type Fragment, type RuleSet, TABLES } from "../../dataplane/iptables/rules.ts";
import { chainLine, ruleLine } from "../../dataplane/iptables/text.ts";
import { diffServices } from "../../dataplane/iptables/transaction.ts";
import { transactionText } from "../../dataplane/iptables/transaction_text.ts";
import {
  changeOfPlan,
  type LineChange,
  type RuleChange,
  type RuleForecast,
  touchedBy,
  without,
} from "./rules.ts";

/** What iptables mode would change in a family, from the rules that it has. */
export function iptablesChange(
  { after, change }: Pick<RuleForecast, "after" | "change">,
  previous: RuleSet,
  options: RuleOptions,
): RuleChange {
  const { family } = previous;
  const { rules, problems } = change.node === null
    ? renderChange(previous, after.node, change, options)
    : render(after, family, options);
  const touched = touchedBy(change) ??
    new Set([...previous.services.keys(), ...rules.services.keys()]);
  const parts: [Fragment | undefined, Fragment | undefined][] = [
    [previous.head, rules.head],
    ...[...touched].sort().map((key): [Fragment | undefined, Fragment | undefined] => [
      previous.services.get(key),
      rules.services.get(key),
    ]),
    [previous.tail, rules.tail],
  ];
  const changes = parts.map(([before, then]) => fragmentChange(before, then));
  return {
    family,
    added: changes.flatMap(({ added }) => added),
    removed: changes.flatMap(({ removed }) => removed),
    text: transactionText(diffServices(previous, rules, touched)) ?? "",
    problems: problems.map(({ service, message }) => `Service ${service}: ${message}`),
  };
}

/** The same where it is not the mode that runs. */
export const iptablesChangeOfPlan = changeOfPlan(render, iptablesChange);

/** Lines "nat :CHAIN …" and "nat -A CHAIN …"; another order of the same rules is no change. */
function fragmentChange(before: Fragment | undefined, after: Fragment | undefined): LineChange {
  if (before === after) return { added: [], removed: [] };
  const had = linesOf(before);
  const has = linesOf(after);
  return { added: without(has, had), removed: without(had, has) };
}

function linesOf(fragment: Fragment | undefined): string[] {
  if (fragment === undefined) return [];
  return TABLES.flatMap((table) => [
    ...fragment[table].chains.map((chain) => `${table} ${chainLine(chain)}`),
    ...fragment[table].rules.map(({ chain, spec }) => `${table} ${ruleLine("-A", chain, spec)}`),
  ]);
}
