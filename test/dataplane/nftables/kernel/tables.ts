/**
 * Whole tables, written and compared.
 *
 * @module
 */

import type {
  Chain,
  NamedSet,
  Rule,
  Table,
} from "../../../../src/dataplane/nftables/language/ast.ts";
import type { Operation, Transaction } from "../../../../src/dataplane/nftables/transaction.ts";

/** The steps that make a table. */
export function tableTransaction(table: Table): Transaction {
  const { family, name, comment, chains, sets } = table;
  if (family !== "ip" && family !== "ip6") throw new TypeError(`a table of family ${family}`);
  const operations: Operation[] = [
    { action: "add-table", comment },
    ...chains.map(({ name, base, comment }: Chain): Operation => ({
      action: "add-chain",
      name,
      base,
      comment,
    })),
    ...sets.map((set: NamedSet): Operation => ({ action: "add-set", set })),
    ...sets.map((set): Operation => ({ action: "add-elements", set, elements: set.elements })),
    ...chains.flatMap(({ name, rules }) =>
      rules.map((rule: Rule): Operation => ({ action: "add-rule", chain: name, rule }))
    ),
  ];
  return { family, table: name, operations };
}

/** What nft lists, with the elements of sets, which have no order, sorted. */
export function sortedListing(text: string): string {
  return text.replace(/\{ ([^{}]*) \}/g, (_, elements: string) => {
    const sorted = elements.split(/,\s+/).sort();
    return `{ ${sorted.join(", ")} }`;
  });
}
