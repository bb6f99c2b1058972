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

import { type ChainChange, countChains, countLines, mergeDiffs, type TableDiff } from "./diff.ts";
import { targetOf } from "./read.ts";
import { splitWords } from "./save_text.ts";
import { chainLine } from "./text.ts";

/** Chains of one transaction of nf_tables, where more than a few are faster apart. */
export const NFT_CHAINS = 250;

/** What changes in one table, part by part: chains before those that lead to them. */
export interface TableChanges {
  readonly table: string;
  /**
   * Chains that go, and lines for chains of others, are in the last part. Null: the next part takes a
   * moment.
   */
  readonly parts: Iterable<TableDiff | null>;
}

/**
 * Restore text of what changes; null when nothing does.
 *
 * @param chainLimit chains of one transaction. Without a limit, each table is changed at once.
 */
export function transactionText(
  diffs: readonly TableDiff[],
  chainLimit = Infinity,
): string | null {
  const changes = diffs.map((diff) => ({ table: diff.table, parts: [diff] }));
  return [...transactionPieces(changes, chainLimit)].join("") || null;
}

/** The same in pieces, none when nothing changes; empty ones while the next one is being made. */
export function* transactionPieces(
  changes: Iterable<TableChanges>,
  chainLimit = Infinity,
): Generator<string> {
  for (const { table, parts } of changes) {
    if (chainLimit === Infinity) yield* atOnce(table, parts);
    else yield* inTurns(table, parts, chainLimit);
  }
}

function* atOnce(table: string, parts: TableChanges["parts"]): Generator<string> {
  let begun = false;
  for (const diff of parts) {
    if (diff === null || countLines(diff) === 0) {
      yield "";
      continue;
    }
    yield `${begun ? "" : `*${table}\n`}${linesOf(diff)}`;
    begun = true;
  }
  if (begun) yield "COMMIT\n";
}

/** As long as one transaction is enough, there is one. */
function* inTurns(
  table: string,
  parts: TableChanges["parts"],
  chainLimit: number,
): Generator<string> {
  let held: TableDiff | null = null;
  let cut = false;
  for (const diff of parts) {
    if (diff === null) {
      yield "";
      continue;
    }
    const next: TableDiff = held === null ? diff : mergeDiffs(table, [held, diff]);
    cut ||= countChains(next) > chainLimit;
    held = cut ? null : next;
    if (cut) yield* sectionsOf(next, chainLimit);
  }
  if (held !== null && countLines(held) > 0) yield section(table, linesOf(held));
}

function sectionsOf(diff: TableDiff, chainLimit: number): string[] {
  const { table, created, changed, removed, foreign } = diff;
  const made = leafFirst(created, ({ rules }) => rules);
  // A removed chain's rules lead to others that are removed after it.
  const gone = leafFirst(removed, ({ specs }) => specs.filter((spec) => spec !== null)).reverse();
  return [
    ...chunks([...made, ...changed], chainLimit).map((part) => lines(part, [], [])),
    ...(foreign.length === 0 ? [] : [lines([], [], foreign)]),
    ...chunks(gone.map(({ chain }) => chain), chainLimit).map((part) => lines([], part, [])),
  ].map((text) => section(table, text));
}

/** One transaction. */
function section(table: string, text: string): string {
  return `*${table}\n${text}COMMIT\n`;
}

function linesOf({ created, changed, removed, foreign }: TableDiff): string {
  return lines([...created, ...changed], removed.map(({ chain }) => chain), foreign);
}

/**
 * What one transaction does. Emptied first, chains to be removed do not lead to one another any more. Names
 * go downwards, because both implementations keep sorted lists of chains that they search from the
 * front; restoring 10,000 Services takes legacy iptables a third less.
 */
function lines(
  changes: readonly ChainChange[],
  removed: readonly string[],
  foreign: readonly string[],
): string {
  const anew = changes.filter((change) => change.anew).map(({ chain }) => chain);
  let text = "";
  for (const chain of [...anew, ...removed].sort().reverse()) text += `${chainLine(chain)}\n`;
  for (const { rules } of changes) for (const rule of rules) text += `${rule}\n`;
  for (const line of foreign) text += `${line}\n`;
  for (const chain of removed) text += `-X ${chain}\n`;
  return text;
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
