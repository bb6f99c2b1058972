/**
 * Makes tables that were read anew, from what was read alone.
 *
 * @module
 */

import type { TableContents } from "../../../../src/netlink/netfilter/nftables/nftables.ts";
import type { Operation } from "../../../../src/netlink/netfilter/nftables/operations.ts";

/** The operations that make a table with all that was read of it, but named objects. */
export function copyOperations(contents: TableContents): Operation[] {
  const { table, chains, rules, sets } = contents;
  return [
    { kind: "add table", table },
    ...chains.map((chain): Operation => ({ kind: "add chain", chain })),
    ...sets.map((set, id): Operation => ({ kind: "add set", set, id })),
    ...sets.map((set): Operation => ({ kind: "add elements", set, elements: set.elements })),
    ...rules.map((rule): Operation => ({ kind: "append rule", rule })),
  ];
}
