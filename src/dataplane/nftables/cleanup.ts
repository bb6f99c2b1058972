/**
 * Takes the proxy's tables, ours or kube-proxy's, off a node.
 *
 * @module
 */

import { messageOf } from "../../errors.ts";
import { FAMILIES } from "../../net/address.ts";
import type { NftablesAccess } from "./access.ts";
import { TABLE, tableFamily } from "./names.ts";

/**
 * Cleans a node up in both families. Goes on after a failure; returns what failed, one line each.
 */
export async function cleanupNftables(access: NftablesAccess): Promise<string[]> {
  const failures: string[] = [];
  for (const family of FAMILIES) {
    try {
      // What is not there cannot be taken away.
      await access.apply({
        family: tableFamily(family),
        table: TABLE,
        operations: [{ action: "add-table", comment: null }, { action: "delete-table" }],
      });
    } catch (error) {
      failures.push(messageOf(error));
    }
  }
  return failures;
}
