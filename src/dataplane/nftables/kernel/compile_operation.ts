/**
 * Steps of transactions as what the kernel does in a batch.
 *
 * @module
 */

import type { SetElement } from "../../../netlink/netfilter/nftables/objects.ts";
import type { Operation as KernelOperation } from "../../../netlink/netfilter/nftables/operations.ts";
import type { Operation } from "../transaction.ts";
import { compileRule, type RuleContext } from "./compile_rule.ts";
import { compileElements } from "./elements.ts";
import { compileBase } from "./hooks.ts";
import { compileSet, elementTypes } from "./sets.ts";

/**
 * The kernel's operations for one step. Throws CompileError on what cannot be said to the kernel.
 */
export function* compileOperation(
  operation: Operation,
  context: RuleContext,
): Generator<KernelOperation> {
  const place = { family: context.family, table: context.table };
  switch (operation.action) {
    case "add-table":
      yield { kind: "add table", table: { ...place, ...commented(operation.comment) } };
      return;
    case "delete-table":
      yield { kind: "delete table", table: place };
      return;
    case "add-chain": {
      const { name, base, comment } = operation;
      const hook = base === null ? {} : { hook: compileBase(base) };
      const chain = { ...place, chain: name, ...hook, ...commented(comment) };
      yield { kind: "add chain", chain };
      return;
    }
    case "flush-chain":
      yield { kind: "flush", chain: { ...place, chain: operation.name } };
      return;
    case "delete-chain":
      yield { kind: "delete chain", chain: { ...place, chain: operation.name } };
      return;
    case "add-rule": {
      const { chain, rule } = operation;
      const { sets, expressions } = compileRule(rule, context);
      for (const { set, elements } of sets) yield* filledSet(set, elements);
      yield {
        kind: "append rule",
        rule: { ...place, chain, expressions, ...commented(rule.comment) },
      };
      return;
    }
    case "add-set":
      yield { kind: "add set", set: compileSet(operation.set, place) };
      return;
    case "flush-set":
      yield { kind: "flush set", set: { ...place, set: operation.set.name } };
      return;
    case "delete-set":
      yield { kind: "delete set", set: { ...place, set: operation.set.name } };
      return;
    case "add-elements":
    case "delete-elements": {
      const { set, action } = operation;
      const elements = compileElements(operation.elements, elementTypes(set));
      const kind = action === "add-elements" ? "add elements" : "delete elements";
      yield { kind, set: { ...place, set: set.name }, elements };
      return;
    }
  }
}

function* filledSet(
  set: Extract<KernelOperation, { kind: "add set" }>["set"],
  elements: readonly SetElement[],
): Generator<KernelOperation> {
  yield { kind: "add set", set };
  yield { kind: "add elements", set, elements };
}

function commented(comment: string | null | undefined): { readonly comment?: string } {
  return comment === null || comment === undefined ? {} : { comment };
}
