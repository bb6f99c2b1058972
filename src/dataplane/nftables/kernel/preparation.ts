/**
 * What of a large transaction can be done before the rest, as nothing leads to it yet: new chains
 * that no hook calls, their rules, and new sets. No packet sees the difference until all the rest is
 * done at once.
 *
 * The kernel needs it in small batches: for every rule with a set of its own, it goes through all
 * that the batch has done so far (nf_tables_api.c, __nft_set_trans_bind). 10,000 Services in one
 * batch take it two minutes.
 *
 * @module
 */

import type { Operation } from "../transaction.ts";

/** Tells the steps that can be done before, in their order, from those that cannot. */
export class Preparation {
  readonly #present: ReadonlySet<string>;
  readonly #made = new Set<string>();
  /** Nothing was taken away yet that could be made anew. */
  #open = true;

  /** `present` are the chains that are there before. */
  constructor(present: ReadonlySet<string>) {
    this.#present = present;
  }

  /** Whether the transaction's next step can be done before. */
  takes(operation: Operation): boolean {
    switch (operation.action) {
      case "delete-table":
      case "delete-set":
        return this.#open = false;
      case "add-table":
      case "add-set":
        return this.#open;
      case "add-chain": {
        const { name, base } = operation;
        if (!this.#open || base !== null || this.#present.has(name)) return false;
        this.#made.add(name);
        return true;
      }
      case "flush-chain":
        return this.#open && this.#made.has(operation.name);
      case "add-rule":
        return this.#open && this.#made.has(operation.chain);
      default:
        return false;
    }
  }
}
