/**
 * Transactions as input of `nft -f`.
 *
 * @module
 */

import { baseText, printRule, setElementText, setHead, setProperties } from "./language/print.ts";
import type { Operation, SetDeclaration, Transaction } from "./transaction.ts";

/** Text of all steps, in pieces of whole lines. nft does all of them or none. */
export function* transactionPieces({ operations, ...table }: Transaction): Generator<string> {
  for (const operation of operations) yield operationText(operation, table);
}

/** One step, with a line end. */
export function operationText(
  operation: Operation,
  { family, table }: Pick<Transaction, "family" | "table">,
): string {
  const where = `${family} ${table}`;
  switch (operation.action) {
    case "add-table":
      return `add table ${where}${block(commentOf(operation.comment))}\n`;
    case "delete-table":
      return `delete table ${where}\n`;
    case "add-chain": {
      const { name, base, comment } = operation;
      const hook = base === null ? [] : [baseText(base, family).replace(/;$/, "")];
      return `add chain ${where} ${name}${block([...hook, ...commentOf(comment)])}\n`;
    }
    case "flush-chain":
      return `flush chain ${where} ${operation.name}\n`;
    case "delete-chain":
      return `delete chain ${where} ${operation.name}\n`;
    case "add-rule":
      return `add rule ${where} ${operation.chain} ${printRule(operation.rule)}\n`;
    case "add-set":
      return `add ${named(operation.set, where)}${block(setProperties(asSet(operation.set)))}\n`;
    case "flush-set":
      return `flush ${named(operation.set, where)}\n`;
    case "delete-set":
      return `delete ${named(operation.set, where)}\n`;
    case "add-elements":
    case "delete-elements": {
      const verb = operation.action === "add-elements" ? "add" : "delete";
      const set = asSet(operation.set);
      const elements = operation.elements.map((element) => setElementText(set, element));
      return `${verb} element ${where} ${set.name} { ${elements.join(", ")} }\n`;
    }
  }
}

function commentOf(comment: string | null): string[] {
  return comment === null ? [] : [`comment "${comment}"`];
}

function block(properties: readonly string[]): string {
  return properties.length === 0 ? "" : ` { ${properties.map((one) => `${one};`).join(" ")} }`;
}

/** "map ip kube-proxy service-ips" */
function named(set: SetDeclaration, where: string): string {
  return setHead(asSet(set)).replace(" ", ` ${where} `);
}

function asSet(set: SetDeclaration) {
  return { ...set, handle: null, elements: [] };
}
