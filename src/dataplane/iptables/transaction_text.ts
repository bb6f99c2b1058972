/**
 * Changes as restore text, in one transaction for each table or, where there are too many, several.
 *
 * iptables-restore of nf_tables walks a sorted list of all chains that a transaction has named so
 * far at each line (nft-cache.c `cache_chain_list_insert`): 2,000 Services take 23 seconds in one
 * transaction and 2 in many. Cut up, every part leaves rules that work: new chains are made before
 * anything leads to them, and old ones removed after nothing does.
 *
 * @module
 */

import { type ChainChange, countLines, type TableDiff } from "./diff.ts";
import { targetOf } from "./read.ts";
import { splitWords } from "./save_text.ts";
import { chainLine } from "./text.ts";

/** Chains of one transaction of nf_tables, where more than a few are faster apart. */
export const NFT_CHAINS = 250;

/**
 * Restore text of what changes; null when nothing does.
 *
 * @param chainLimit chains of one transaction. Without a limit, each table is changed at once.
 */
export function transactionText(
  diffs: readonly TableDiff[],
  chainLimit = Infinity,
): string | null {
  const sections = diffs.filter((diff) => countLines(diff) > 0)
    .flatMap((diff) => tableSections(diff, chainLimit));
  return sections.length === 0 ? null : sections.join("");
}

function tableSections(diff: TableDiff, chainLimit: number): string[] {
  const { table, created, changed, removed, foreign } = diff;
  if (created.length + changed.length + removed.length <= chainLimit) {
    return [section(table, [...created, ...changed], removed.map(({ chain }) => chain), foreign)];
  }
  const made = leafFirst(created, ({ rules }) => rules);
  // A removed chain's rules lead to others that are removed after it.
  const gone = leafFirst(removed, ({ specs }) => specs.filter((spec) => spec !== null)).reverse();
  return [
    ...chunks([...made, ...changed], chainLimit).map((part) => section(table, part, [], [])),
    ...(foreign.length === 0 ? [] : [section(table, [], [], foreign)]),
    ...chunks(gone.map(({ chain }) => chain), chainLimit).map((part) =>
      section(table, [], part, [])
    ),
  ];
}

/**
 * One transaction. Emptied first, chains to be removed do not lead to one another any more. Names
 * go downwards, because both implementations keep sorted lists of chains that they search from the
 * front; restoring 10,000 Services takes legacy iptables a third less.
 */
function section(
  table: string,
  changes: readonly ChainChange[],
  removed: readonly string[],
  foreign: readonly string[],
): string {
  const anew = changes.filter((change) => change.anew).map(({ chain }) => chain);
  return [
    `*${table}`,
    ...[...anew, ...removed].sort().reverse().map(chainLine),
    ...changes.flatMap(({ rules }) => rules),
    ...foreign,
    ...removed.map((chain) => `-X ${chain}`),
    "COMMIT",
    "",
  ].join("\n");
}

function chunks<T>(items: readonly T[], size: number): T[][] {
  const parts: T[][] = [];
  for (let i = 0; i < items.length; i += size) parts.push(items.slice(i, i + size));
  return parts;
}

/** Chains in an order in which each comes after all those that its rules lead to. */
function leafFirst<T extends { readonly chain: string }>(
  chains: readonly T[],
  rulesOf: (chain: T) => readonly string[],
): T[] {
  const byName = new Map(chains.map((chain) => [chain.chain, chain]));
  const ordered = new Set<T>();
  const visit = (chain: T) => {
    // Taken out, it is not visited again; the kernel allows no loops anyway.
    byName.delete(chain.chain);
    for (const rule of rulesOf(chain)) {
      const target = targetOf({ tokens: splitWords(rule) ?? [] });
      const next = target === null ? undefined : byName.get(target);
      if (next !== undefined) visit(next);
    }
    ordered.add(chain);
  };
  for (const chain of chains) if (byName.has(chain.chain)) visit(chain);
  return [...ordered];
}
