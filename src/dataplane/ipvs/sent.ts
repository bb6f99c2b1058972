/**
 * A step in words that operators know, for the history.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import type { StateChange } from "./change.ts";
import { serverLines } from "./text.ts";

/** "+ …" and "- …" for what comes and goes, below it the input of iptables-restore. */
export function changeText(
  { servers, addresses, sets }: StateChange,
  rules: string | null,
  family: Family,
): string {
  const lines: string[] = [];
  const items = (what: string, added: readonly string[], removed: readonly string[]) => {
    for (const item of added) lines.push(`+ ${what} ${item}\n`);
    for (const item of removed) lines.push(`- ${what} ${item}\n`);
  };
  items("address", addresses.added, addresses.removed);
  for (const [name, { added, removed }] of sets) items(`set ${name}`, added, removed);
  for (const { before, after } of servers) {
    const had = new Set(before === null ? [] : serverLines(before, family));
    const has = new Set(after === null ? [] : serverLines(after, family));
    items("server", [...has.difference(had)], [...had.difference(has)]);
  }
  return lines.join("") + (rules ?? "");
}
