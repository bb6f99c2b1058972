/**
 * From the chains that are there to the chains that should be, in as few lines as possible.
 *
 * A chain is either edited rule by rule or emptied and filled anew, whichever takes fewer lines.
 * Rules are deleted by what they say and never by number: when the kernel's chain is not what it
 * was thought to be, the transaction fails instead of hitting another rule.
 *
 * @module
 */

import { ruleLine } from "./text.ts";

/** Rules of a chain, in order. */
export interface ChainRules {
  /** Same for two rules exactly when they are the same. */
  readonly keys: readonly string[];
  /** As in restore text; null for a rule that cannot be written there. */
  readonly specs: readonly (string | null)[];
}

/** The chains of a table that are the proxy's alone. */
export type OwnChains = ReadonlyMap<string, ChainRules>;

/** What is written to one chain. */
export interface ChainChange {
  readonly chain: string;
  /** The chain is made, or emptied, first. */
  readonly anew: boolean;
  /** Lines of restore text. */
  readonly rules: readonly string[];
}

/** What changes in one table. */
export interface TableDiff {
  readonly table: string;
  readonly created: readonly ChainChange[];
  readonly changed: readonly ChainChange[];
  /** Chains that go, with the rules that they have. */
  readonly removed: readonly { readonly chain: string; readonly specs: ChainRules["specs"] }[];
  /** Lines for chains of others, such as those of jumps; they come after all changes of our own. */
  readonly foreign: readonly string[];
}

/** What is known about a table besides its chains. */
export interface DiffOptions {
  /** Chains that cannot be removed, because rules of others lead to them: these are emptied. */
  readonly referenced?: ReadonlySet<string>;
  readonly foreign?: readonly string[];
}

/**
 * What makes `current` into `desired`. Both may be cut down to the same part of a table's chains:
 * what is in neither is left alone.
 */
export function diffTable(
  table: string,
  current: OwnChains,
  desired: OwnChains,
  { referenced = new Set(), foreign = [] }: DiffOptions = {},
): TableDiff {
  return mergeDiffs(table, [
    diffChains(table, current, desired),
    diffGone(table, current, desired, { referenced, foreign }),
  ]);
}

/** What makes these chains, whatever others there are. */
export function diffChains(table: string, current: OwnChains, desired: OwnChains): TableDiff {
  const created: ChainChange[] = [];
  const changed: ChainChange[] = [];
  for (const [chain, wanted] of desired) {
    const present = current.get(chain);
    const edits = present === undefined ? null : editChain(chain, present, wanted);
    if (edits === null) {
      const rules: string[] = [];
      for (const spec of wanted.specs) rules.push(ruleLine("-A", chain, spec!));
      (present === undefined ? created : changed).push({ chain, anew: true, rules });
    } else if (edits.length > 0) {
      changed.push({ chain, anew: false, rules: edits });
    }
  }
  return { table, created, changed, removed: [], foreign: [] };
}

/** What takes away all chains but these, and the lines for chains of others. */
export function diffGone(
  table: string,
  current: OwnChains,
  wanted: { has(chain: string): boolean },
  { referenced = new Set(), foreign = [] }: DiffOptions = {},
): TableDiff {
  const changed: ChainChange[] = [];
  const removed: { chain: string; specs: ChainRules["specs"] }[] = [];
  for (const [chain, present] of current) {
    if (wanted.has(chain)) continue;
    if (!referenced.has(chain)) removed.push({ chain, specs: present.specs });
    else if (present.keys.length > 0) changed.push({ chain, anew: true, rules: [] });
  }
  return { table, created: [], changed, removed, foreign };
}

/** One diff of a table after another. */
export function mergeDiffs(table: string, diffs: readonly TableDiff[]): TableDiff {
  return {
    table,
    created: diffs.flatMap(({ created }) => created),
    changed: diffs.flatMap(({ changed }) => changed),
    removed: diffs.flatMap(({ removed }) => removed),
    foreign: diffs.flatMap(({ foreign }) => foreign),
  };
}

/** Number of chains that a diff makes, changes or removes. */
export function countChains({ created, changed, removed }: TableDiff): number {
  return created.length + changed.length + removed.length;
}

/** Number of lines of restore text that a diff takes. */
export function countLines({ created, changed, removed, foreign }: TableDiff): number {
  let lines = 2 * removed.length + foreign.length;
  for (const { anew, rules } of created) lines += (anew ? 1 : 0) + rules.length;
  for (const { anew, rules } of changed) lines += (anew ? 1 : 0) + rules.length;
  return lines;
}

/** Number of rules that are added, inserted or deleted by name in a table's own chains. */
export function countRuleLines(diffs: readonly TableDiff[], table: string): number {
  return diffs.filter((diff) => diff.table === table)
    .flatMap(({ created, changed }) => [...created, ...changed])
    .reduce((sum, { rules }) => sum + rules.length, 0);
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
