/**
 * What to do to one table, all or nothing.
 *
 * @module
 */

import type { BaseChain, Element, NamedSet, Rule } from "./language/ast.ts";

/** What makes a set or map, without what is in it. */
export type SetDeclaration = Omit<NamedSet, "elements" | "handle">;

/** One step. Steps see what those before them did. */
export type Operation =
  /** Makes the table unless it is there. */
  | { readonly action: "add-table"; readonly comment: string | null }
  /** Takes away the table with all that is in it; it must be there. */
  | { readonly action: "delete-table" }
  /** Makes the chain unless it is there; one that is there must have the same base. */
  | {
    readonly action: "add-chain";
    readonly name: string;
    readonly base: BaseChain | null;
    readonly comment: string | null;
  }
  /** Takes all rules out of a chain. */
  | { readonly action: "flush-chain"; readonly name: string }
  /** Takes a chain away that is empty and that nothing leads to. */
  | { readonly action: "delete-chain"; readonly name: string }
  /** Puts a rule behind those of the chain. */
  | { readonly action: "add-rule"; readonly chain: string; readonly rule: Rule }
  /** Makes the set or map unless it is there; one that is there must be of the same type. */
  | { readonly action: "add-set"; readonly set: SetDeclaration }
  /** Takes all elements out. */
  | { readonly action: "flush-set"; readonly set: SetDeclaration }
  /** Takes a set or map away that no rule uses. */
  | { readonly action: "delete-set"; readonly set: SetDeclaration }
  /** Puts elements in; a map must not have other data under any of the keys. */
  | ElementsOperation<"add-elements">
  /** Takes elements out by their keys; they must be there. */
  | ElementsOperation<"delete-elements">;

interface ElementsOperation<Action> {
  readonly action: Action;
  readonly set: SetDeclaration;
  readonly elements: readonly Element[];
}

/** Steps on one table. */
export interface Transaction {
  readonly family: "ip" | "ip6";
  readonly table: string;
  /** To be gone through once; they may be made while others are being sent. */
  readonly operations: Iterable<Operation>;
}

/** In how many things steps were made: elements count each, everything else counts one. */
export function countOperation(operation: Operation): number {
  return "elements" in operation ? operation.elements.length : 1;
}
