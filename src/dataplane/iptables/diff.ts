/**
 * From the chains that are there to the chains that should be, in as few lines as possible.
 *
 * A chain is either edited rule by rule or emptied and filled anew, whichever takes fewer lines.
 * Rules are deleted by what they say and never by number: when the kernel's chain is not what it
 * was thought to be, the transaction fails instead of hitting another rule.
 *
 * @module
 */

import { chainLine, ruleLine } from "./text.ts";

/** Rules of a chain, in order. */
export interface ChainRules {
  /** Same for two rules exactly when they are the same. */
  readonly keys: readonly string[];
  /** As in restore text; null for a rule that cannot be written there. */
  readonly specs: readonly (string | null)[];
}

/** The chains of a table that are the proxy's alone. */
export type OwnChains = ReadonlyMap<string, ChainRules>;

/** What changes in one table. */
export interface TableDiff {
  readonly table: string;
  /** Lines of restore text, between `*TABLE` and COMMIT. */
  readonly lines: readonly string[];
  readonly created: readonly string[];
  readonly changed: readonly string[];
  readonly removed: readonly string[];
}

/** What is known about a table besides its chains. */
export interface DiffOptions {
  /** Chains that cannot be removed, because rules of others lead to them: these are emptied. */
  readonly referenced?: ReadonlySet<string>;
  /** Lines for chains of others, such as those of jumps; written when our own chains exist. */
  readonly foreign?: readonly string[];
}

/**
 * The lines that make `current` into `desired`. Both may be cut down to the same part of a table's
 * chains: what is in neither is left alone.
 */
export function diffTable(
  table: string,
  current: OwnChains,
  desired: OwnChains,
  { referenced = new Set(), foreign = [] }: DiffOptions = {},
): TableDiff {
  const flushes: string[] = [];
  const rules: string[] = [];
  const created: string[] = [];
  const changed: string[] = [];
  const removed: string[] = [];
  for (const [chain, wanted] of desired) {
    const present = current.get(chain);
    const edits = present === undefined ? null : editChain(chain, present, wanted);
    if (edits === null) {
      (present === undefined ? created : changed).push(chain);
      flushes.push(chainLine(chain));
      for (const spec of wanted.specs) rules.push(ruleLine("-A", chain, spec!));
    } else if (edits.length > 0) {
      changed.push(chain);
      rules.push(...edits);
    }
  }
  for (const [chain, present] of current) {
    if (desired.has(chain)) continue;
    if (!referenced.has(chain)) removed.push(chain);
    else if (present.keys.length === 0) continue;
    else changed.push(chain);
    flushes.push(chainLine(chain));
  }
  // Emptied first, the chains to be removed do not lead to one another; nothing else leads to them
  // once all rules are written.
  const lines = [...flushes, ...rules, ...foreign, ...removed.map((chain) => `-X ${chain}`)];
  return { table, lines, created, changed, removed };
}

/** Restore text of what changes; null when nothing does. */
export function transactionText(diffs: readonly TableDiff[]): string | null {
  const parts = diffs.filter((diff) => diff.lines.length > 0)
    .map(({ table, lines }) => [`*${table}`, ...lines, "COMMIT", ""].join("\n"));
  return parts.length === 0 ? null : parts.join("");
}

/** Lines that edit a chain, none when it is right; null when writing it anew is shorter. */
export function editChain(
  chain: string,
  current: ChainRules,
  desired: ChainRules,
): string[] | null {
  const had = current.keys;
  const want = desired.keys;
  const shorter = Math.min(had.length, want.length);
  let start = 0;
  while (start < shorter && had[start] === want[start]) start++;
  let tail = 0;
  while (tail < shorter - start && had[had.length - 1 - tail] === want[want.length - 1 - tail]) {
    tail++;
  }
  const hadEnd = had.length - tail;
  const wantEnd = want.length - tail;
  if (start === hadEnd && start === wantEnd) return [];
  const kept = keptRules(had.slice(start, hadEnd), want.slice(start, wantEnd));
  if (kept === null) return null;
  const lines = (hadEnd - start - kept.size) + (wantEnd - start - kept.size);
  if (lines > want.length) return null;
  const deleted = new Set<string>();
  const edits: string[] = [];
  for (let i = start; i < hadEnd; i++) {
    if (kept.has(had[i])) continue;
    const spec = current.specs[i];
    if (spec === null) return null;
    deleted.add(had[i]);
    edits.push(ruleLine("-D", chain, spec));
  }
  // -D takes the first of several equal rules, which need not be the one that is meant.
  const before = had.slice(0, start);
  const after = had.slice(hadEnd);
  if (deleted.size > 0 && [before, after].some((keys) => keys.some((key) => deleted.has(key)))) {
    return null;
  }
  let length = had.length - deleted.size;
  for (let i = start; i < wantEnd; i++) {
    if (kept.has(want[i])) continue;
    const spec = desired.specs[i]!;
    if (i === length) edits.push(ruleLine("-A", chain, spec));
    else edits.push(ruleLine("-I", i === 0 ? chain : `${chain} ${i + 1}`, spec));
    length++;
  }
  return edits;
}

/**
 * The most rules that can stay where they are: those of a longest increasing subsequence of their
 * wanted positions. Null when a rule occurs twice.
 */
function keptRules(had: readonly string[], want: readonly string[]): Set<string> | null {
  const wanted = new Map(want.map((key, index) => [key, index]));
  if (wanted.size !== want.length || new Set(had).size !== had.length) return null;
  const positions = had.flatMap((key) => wanted.get(key) ?? []);
  // smallest[n]: index in `positions` of the smallest end of an increasing run of n + 1.
  const smallest: number[] = [];
  const before = new Array<number>(positions.length);
  for (let i = 0; i < positions.length; i++) {
    let low = 0;
    let high = smallest.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (positions[smallest[middle]] < positions[i]) low = middle + 1;
      else high = middle;
    }
    before[i] = low === 0 ? -1 : smallest[low - 1];
    smallest[low] = i;
  }
  const kept = new Set<string>();
  for (let i = smallest.at(-1) ?? -1; i >= 0; i = before[i]) kept.add(want[positions[i]]);
  return kept;
}
