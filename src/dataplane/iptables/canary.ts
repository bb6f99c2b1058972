/**
 * Notices, without reading all rules, that someone flushed the tables: an empty chain of ours in each
 * of them is gone then or, when the chains were only emptied, the jumps to ours are.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import type { RulesAccess } from "./apply.ts";
import { CHAIN } from "./names.ts";
import { NODE_TABLES } from "./read.ts";
import type { TableName } from "./rules.ts";

/** How long a flush that has begun is waited for, milliseconds. */
const FLUSH_LIMIT_MS = 5000;
const FLUSH_POLL_MS = 100;
/** How long after a table was found emptied others may follow, milliseconds. */
const SETTLING_MS = 500;

/** One jump of each table with rules; who empties a table takes it. */
const WATCHED_JUMPS: readonly { table: TableName; chain: string; to: string }[] = [
  { table: "nat", chain: "POSTROUTING", to: CHAIN.postrouting },
  { table: "filter", chain: "FORWARD", to: CHAIN.forward },
];

/**
 * Whether the tables of a family, or one of them, were flushed. When the canaries are going, waits
 * until they are gone from every table, so that new rules do not fall to the same flush, but no
 * longer than five seconds.
 */
export async function tablesFlushed(
  access: Pick<RulesAccess, "listChain">,
  family: Family,
  sleep: (ms: number) => Promise<void>,
): Promise<boolean> {
  const has = async (table: string) => await access.listChain(family, table, CHAIN.canary) !== null;
  if (await has("mangle")) {
    if (await leadToOurs(access, family)) return false;
    await sleep(SETTLING_MS);
    if (await has("mangle")) return true;
  }
  for (let waited = 0; waited < FLUSH_LIMIT_MS; waited += FLUSH_POLL_MS) {
    const left = await Promise.all(NODE_TABLES.map(has));
    if (left.every((there) => !there)) break;
    await sleep(FLUSH_POLL_MS);
  }
  return true;
}

async function leadToOurs(
  access: Pick<RulesAccess, "listChain">,
  family: Family,
): Promise<boolean> {
  for (const { table, chain, to } of WATCHED_JUMPS) {
    const rules = await access.listChain(family, table, chain) ?? "";
    if (!rules.split("\n").some((rule) => rule.endsWith(` -j ${to}`))) return false;
  }
  return true;
}
