/**
 * What a sync sent, counted while it is made and goes by.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import { MOST_SENT, type SentRules, sentRules } from "../dataplane.ts";
import { TABLE, tableFamily } from "./names.ts";
import { countOperation, type Operation } from "./transaction.ts";
import { operationText } from "./transaction_text.ts";

/** Counts one sync of one family. */
export class Tally {
  /** Rules, elements, chains and the like that were made, filled or taken away. */
  lines = 0;
  #beginning = "";
  readonly #family: Family;

  constructor(family: Family) {
    this.#family = family;
  }

  /** The same steps. */
  *operationsOf(operations: Iterable<Operation>): Generator<Operation> {
    const table = { family: tableFamily(this.#family), table: TABLE };
    for (const operation of operations) {
      this.lines += countOperation(operation);
      // One character more than is kept tells that there is more.
      if (this.#beginning.length <= MOST_SENT) this.#beginning += operationText(operation, table);
      yield operation;
    }
  }

  get sent(): SentRules {
    return sentRules(this.#family, this.lines, this.#beginning);
  }
}
