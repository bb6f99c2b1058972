/**
 * Reading a node's table and changing it: the effects of the data plane, whatever does them.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import type { Chain, Table, TableFamily } from "./language/ast.ts";
import type { Transaction } from "./transaction.ts";

/** A table of a node, or why it was not read. */
export type ReadTable = Table | UnreadTable;

/** A table of which nothing else is known. */
export interface UnreadTable {
  readonly family: TableFamily;
  readonly name: string;
  readonly reason: string;
}

/** The proxy's own tables on one node, and what others have there. */
export interface NftablesAccess {
  /**
   * Does all steps, or none of them, but for chains and sets that nothing leads to yet. Rejects with
   * a {@link RefusedTransaction} when the node does not take them as they are.
   */
  apply(transaction: Transaction): Promise<void>;
  /** The proxy's table of a family with all that is in it; null when there is none. */
  read(family: Family): Promise<Table | null>;
  /**
   * All tables that a family's packets pass, the proxy's among them, in the order in which they were
   * made.
   */
  readAll(family: Family): Promise<readonly ReadTable[]>;
  /** One chain of it; null when there is none, or no table. */
  readChain(family: Family, name: string): Promise<Chain | null>;
  /**
   * Has a function called whenever somebody else has changed the proxy's table of a family, until
   * the access is closed; with null when that may have been in any. What packets change in sets does
   * not count. Once; rejects when it cannot go on.
   */
  watch(changed: (family: Family | null) => void): Promise<void>;
  /** Ends it. What is under way is waited for. */
  close(): Promise<void>;
}

/** The node refused a transaction, and does with packets what it did before. */
export class RefusedTransaction extends Error {
  override readonly name = "RefusedTransaction";

  /** @param message one line. */
  constructor(readonly family: "ip" | "ip6", message: string) {
    super(message);
  }
}
