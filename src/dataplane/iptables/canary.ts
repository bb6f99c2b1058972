/**
 * Notices that someone flushed the tables: an empty chain of ours in each of them is gone then.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import type { RulesAccess } from "./apply.ts";
import { CHAIN } from "./names.ts";
import { NODE_TABLES } from "./read.ts";

/** How long a flush that has begun is waited for, milliseconds. */
const FLUSH_LIMIT_MS = 5000;
const FLUSH_POLL_MS = 100;

/**
 * Whether the canary of a family is gone. When it is, waits until it is gone from every table, so
 * that new rules do not fall to the same flush, but no longer than five seconds.
 */
export async function canaryLost(
  access: Pick<RulesAccess, "hasChain">,
  family: Family,
  sleep: (ms: number) => Promise<void>,
): Promise<boolean> {
  const has = (table: string) => access.hasChain(family, table, CHAIN.canary);
  if (await has("mangle")) return false;
  for (let waited = 0; waited < FLUSH_LIMIT_MS; waited += FLUSH_POLL_MS) {
    const left = await Promise.all(NODE_TABLES.map(has));
    if (left.every((there) => !there)) break;
    await sleep(FLUSH_POLL_MS);
  }
  return true;
}
