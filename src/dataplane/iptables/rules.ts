/**
 * The rule set of one IP family, as data: tables, chains and rules, in the order in which kube-proxy
 * writes them, and grouped by what they are there for, so that one Service's can be replaced.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import { quoteWord } from "./save_text.ts";

/** Tables with rules, in kube-proxy's order. */
export type TableName = "filter" | "nat";

export const TABLES: readonly TableName[] = ["filter", "nat"];

/** One rule. */
export interface Rule {
  readonly chain: string;
  /** What follows `-A CHAIN`, as in restore text: words of it by `splitWords`. */
  readonly spec: string;
}

/** What one part of the rule set contributes to one table. */
export interface TableFragment {
  /** Chains that belong to this part alone, in order. */
  readonly chains: readonly string[];
  /** Rules in own chains and in those that parts share, in order. */
  readonly rules: readonly Rule[];
}

/** What one part of the rule set contributes. Tables may be rendered each time they are asked for. */
export interface Fragment extends Readonly<Record<TableName, TableFragment>> {
  /** Those of the rules that are in chains of another part. */
  readonly shared: Readonly<Record<TableName, readonly Rule[]>>;
  /** Number of rules. */
  readonly size: Readonly<Record<TableName, number>>;
  /** Number of chains. */
  readonly chainCount: Readonly<Record<TableName, number>>;
  /** Endpoints in it, usable or not: their sum decides whether the cluster counts as large. */
  readonly endpoints: number;
}

/** All rules of one family. */
export interface RuleSet {
  readonly family: Family;
  /** The chains that all parts share, and the rules that stand before those of Services. */
  readonly head: Fragment;
  /** By "namespace/name", sorted by it. */
  readonly services: ReadonlyMap<string, Fragment>;
  /** Rules that stand after those of Services. */
  readonly tail: Fragment;
}

/** The chains of a table and the rules in each. */
export type Chains = ReadonlyMap<string, readonly string[]>;

/** Collects a {@link Fragment}. Words given to it are plain: quotes are only for comments. */
export class FragmentBuilder {
  readonly #tables = {
    filter: { chains: [] as string[], rules: [] as Rule[] },
    nat: { chains: [] as string[], rules: [] as Rule[] },
  };

  constructor(readonly endpoints = 0) {}

  chains(table: TableName, ...names: readonly string[]): void {
    this.#tables[table].chains.push(...names);
  }

  rule(table: TableName, chain: string, ...words: readonly string[]): void {
    this.#tables[table].rules.push({ chain, spec: words.join(" ") });
  }

  build(): Fragment {
    const { filter, nat } = this.#tables;
    return {
      filter,
      nat,
      shared: { filter: sharedRules(filter), nat: sharedRules(nat) },
      size: { filter: filter.rules.length, nat: nat.rules.length },
      chainCount: { filter: filter.chains.length, nat: nat.chains.length },
      endpoints: this.endpoints,
    };
  }
}

function sharedRules({ chains, rules }: TableFragment): readonly Rule[] {
  if (chains.length === 0) return rules;
  const own = new Set(chains);
  return rules.filter(({ chain }) => !own.has(chain));
}

/** xt_comment's limit without its final NUL. */
const COMMENT_BYTES = 255;

/**
 * Words of a comment. Characters that a line of restore text cannot carry become question marks,
 * and what is too long for the kernel is cut off.
 */
export function comment(text: string): readonly string[] {
  return ["-m", "comment", "--comment", quoteWord(commentText(text))];
}

/** A comment as it can be stored: printable, and at most 255 bytes of UTF-8. */
export function commentText(text: string): string {
  // deno-lint-ignore no-control-regex
  const printable = text.replace(/[\x00-\x1f\x7f]/g, "?").toWellFormed();
  if (printable.length * 3 <= COMMENT_BYTES) return printable;
  const bytes = new Uint8Array(COMMENT_BYTES);
  const { read } = new TextEncoder().encodeInto(printable, bytes);
  return printable.slice(0, read);
}

/** The parts in order. */
export function fragments(rules: RuleSet): Fragment[] {
  return [rules.head, ...rules.services.values(), rules.tail];
}

/** Chains of a table with their rules in order, from these parts. The map is the caller's. */
export function collectChains(
  parts: Iterable<Fragment>,
  table: TableName,
): Map<string, readonly string[]> {
  const collected = new Map<string, string[]>();
  for (const part of parts) {
    const { chains, rules } = part[table];
    for (const chain of chains) collected.set(chain, []);
    let chain = "";
    let specs: string[] | undefined;
    for (const rule of rules) {
      if (rule.chain !== chain) {
        chain = rule.chain;
        specs = collected.get(chain);
        if (specs === undefined) collected.set(chain, specs = []);
      }
      specs!.push(rule.spec);
    }
  }
  return collected;
}

/** The chains that parts share, each with the rules of all parts in order. The map is the caller's. */
export function sharedChains(rules: RuleSet, table: TableName): Map<string, Rule[]> {
  const shared = new Map<string, Rule[]>();
  for (const part of [rules.head, rules.tail]) {
    for (const chain of part[table].chains) shared.set(chain, []);
  }
  for (const part of fragments(rules)) {
    const relevant = part === rules.head ? part[table].rules : part.shared[table];
    for (const rule of relevant) shared.get(rule.chain)?.push(rule);
  }
  return shared;
}

/** Number of rules in a table. */
export function countRules(rules: RuleSet, table: TableName): number {
  return fragments(rules).reduce((sum, part) => sum + part.size[table], 0);
}
