/**
 * A step in words that operators know, for the history and for previews.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import type { ItemChange, StateChange } from "./change.ts";
import type { IpvsState } from "./state.ts";
import { serverLines } from "./text.ts";

/**
 * What comes and what goes, as "address …", "set NAME …", "server …" in ipvsadm's words, and
 * "TABLE -A CHAIN …"; another order of the same rules is no change.
 */
export function changeLines(change: StateChange, family: Family): ItemChange {
  const { added, removed } = itemLines(change, family);
  if (change.rules === null) return { added, removed };
  const had = new Set(ruleLines(change.rules.before));
  const has = new Set(ruleLines(change.rules.after));
  return {
    added: [...added, ...has.difference(had)],
    removed: [...removed, ...had.difference(has)],
  };
}

/**
 * The same with "+ " and "- " in front, a line each.
 *
 * @param rules what was sent to iptables-restore: it takes the place of the lines of rules.
 */
export function changeText(change: StateChange, rules: string | null, family: Family): string {
  const { added, removed } = itemLines(change, family);
  const lines = [...added.map((line) => `+ ${line}\n`), ...removed.map((line) => `- ${line}\n`)];
  return lines.join("") + (rules ?? "");
}

function itemLines({ servers, addresses, sets }: StateChange, family: Family): ItemChange {
  const added: string[] = [];
  const removed: string[] = [];
  const items = (what: string, change: { added: Iterable<string>; removed: Iterable<string> }) => {
    for (const item of change.added) added.push(`${what} ${item}`);
    for (const item of change.removed) removed.push(`${what} ${item}`);
  };
  items("address", addresses);
  for (const [name, change] of sets) items(`set ${name}`, change);
  for (const { before, after } of servers) {
    const had = new Set(before === null ? [] : serverLines(before, family));
    const has = new Set(after === null ? [] : serverLines(after, family));
    items("server", { added: has.difference(had), removed: had.difference(has) });
  }
  return { added, removed };
}

function ruleLines(rules: IpvsState["rules"]): string[] {
  return (["nat", "filter"] as const).flatMap((table) =>
    [...rules[table]].flatMap(([chain, specs]) =>
      specs.map((spec) => `${table} -A ${chain} ${spec}`)
    )
  );
}
