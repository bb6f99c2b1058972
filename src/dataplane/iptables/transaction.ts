/**
 * What to change on a node: against what it was read to have, or against what was written last.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import { canonicalRule } from "./canonical.ts";
import {
  countChains,
  diffChains,
  diffGone,
  diffTable,
  mergeDiffs,
  type OwnChains,
  type TableDiff,
} from "./diff.ts";
import { JUMPS } from "./jumps.ts";
import { CHAIN } from "./names.ts";
import {
  hasRule,
  isOwnChain,
  type NodeRules,
  type NodeTableName,
  targetsOfOthers,
  withKeys,
} from "./read.ts";
import { type Fragment, type RuleSet, sharedChains, type TableName, TABLES } from "./rules.ts";
import { splitWords } from "./save_text.ts";
import { chainLine, ruleLine } from "./text.ts";
import type { TableChanges } from "./transaction_text.ts";

/** Key of a rule in restore text. */
export function keyOf(spec: string, family: Family): string {
  const words = splitWords(spec);
  if (words === null) throw new TypeError(`not a rule: ${spec}`);
  return canonicalRule(words, family);
}

/**
 * Everything that differs between a node and a rule set: chains, jumps and canaries. Parts are made
 * when they are asked for, those of nat first: nearly all rules are there.
 *
 * @param arriving the Services of the rule set, which may be added to it on the way.
 */
export function diffNode(
  node: NodeRules,
  rules: RuleSet,
  arriving: Iterable<Fragment> = rules.services.values(),
): TableChanges[] {
  const services = () => rules.services.values();
  return [
    { table: "nat", parts: tableParts(node, rules, "nat", arriving) },
    { table: "filter", parts: tableParts(node, rules, "filter", lazily(services)) },
    { table: "mangle", parts: tableParts(node, rules, "mangle", []) },
  ];
}

function* lazily<T>(items: () => Iterable<T>): Generator<T> {
  yield* items();
}

/**
 * The chain that those of Services lead to, these, then the others that they share, at last what goes
 * and what others have.
 */
function* tableParts(
  node: NodeRules,
  rules: RuleSet,
  table: NodeTableName,
  services: Iterable<Fragment>,
): Generator<TableDiff | null> {
  const { family } = rules;
  const { own, others } = node[table];
  const unwanted = new Set(own.keys());
  const diff = (chains: ReadonlyMap<string, readonly string[]>) => {
    for (const chain of chains.keys()) unwanted.delete(chain);
    return diffChains(table, own, withKeys(chains, (spec) => keyOf(spec, family)));
  };
  const ofNode = ownSharedChains({ ...rules, services: new Map() }, table);
  const leaves = [...ofNode].filter(([chain]) => chain === CHAIN.markMasquerade);
  yield diff(new Map(leaves));
  yield* inBatches(services, table, diff);
  const rest = ownSharedChains(rules, table).set(CHAIN.canary, []);
  for (const [chain] of leaves) rest.delete(chain);
  const last = diff(rest);
  const foreign = foreignRules(rules, table).flatMap(({ chain, spec, command }) =>
    hasRule(others, chain, keyOf(spec, family)) ? [] : [ruleLine(command, chain, spec)]
  );
  const wanted = { has: (chain: string) => !unwanted.has(chain) };
  const gone = diffGone(table, own, wanted, {
    referenced: targetsOfOthers(others),
    foreign: [...missingChains(node, table), ...foreign],
  });
  yield mergeDiffs(table, [last, gone]);
}

/**
 * Services of the first batch, which should be there soon, and of the largest: legacy
 * iptables-restore is faster the more chains come in the order of their names. Batches grow by so
 * much that no long one is the last, to be waited for.
 */
const FIRST_BATCH = 16;
const LARGEST_BATCH = 512;
const GROWTH = 1.25;

/**
 * What differs of the chains that Services have alone; null after every few of them, when there are no
 * batches. Of Services in which nothing does, nothing is kept.
 */
function* inBatches(
  services: Iterable<Fragment>,
  table: NodeTableName,
  diff: (chains: ReadonlyMap<string, readonly string[]>) => TableDiff,
): Generator<TableDiff | null> {
  if (table === "mangle") return;
  let batch: TableDiff[] = [];
  let size = FIRST_BATCH;
  let count = 0;
  for (const part of services) {
    const chains = new Map<string, string[]>();
    addOwnChains(part, table, chains);
    const own = diff(chains);
    if (countChains(own) > 0) batch.push(own);
    if (++count === size) {
      yield batch.length === 0 ? null : mergeDiffs(table, batch);
      batch = [];
      count = 0;
      size = Math.min(Math.ceil(size * GROWTH), LARGEST_BATCH);
    } else if (count % FIRST_BATCH === 0) {
      yield null;
    }
  }
  if (batch.length > 0) yield mergeDiffs(table, batch);
}

/**
 * Chains that a rule set has alone in a table, and the canary, each with its rules; those of Services
 * one Service at a time.
 */
export function* desiredChains(
  rules: RuleSet,
  table: NodeTableName,
): Generator<[chain: string, specs: readonly string[]]> {
  yield* ownSharedChains(rules, table).set(CHAIN.canary, []);
  if (table === "mangle") return;
  for (const part of rules.services.values()) {
    const chains = new Map<string, string[]>();
    addOwnChains(part, table, chains);
    yield* chains;
  }
}

/** A rule that must be in a chain of others. */
export interface ForeignRule {
  readonly chain: string;
  readonly spec: string;
  readonly command: "-A" | "-I";
}

/** Rules that must be in chains of others: jumps, and the loopback guard. */
export function foreignRules(rules: RuleSet, table: NodeTableName): ForeignRule[] {
  const shared = table === "mangle"
    ? []
    : rules.head[table].rules.filter(({ chain }) => !isOwnChain(table, chain));
  return [
    ...shared.map((rule) => ({ ...rule, command: "-A" as const })),
    ...JUMPS.filter((jump) => jump.table === table)
      .map(({ chain, spec }) => ({ chain, spec, command: "-I" as const })),
  ];
}

/** Lines that make chains which the proxy shares with others. */
function missingChains(node: NodeRules, table: NodeTableName): string[] {
  const missing = table === "filter" && !node.filter.others.has(CHAIN.kubeletFirewall);
  return missing ? [chainLine(CHAIN.kubeletFirewall)] : [];
}

/**
 * What differs between two rule sets of which only these Services, by "namespace/name", are
 * different. The node must have the first; jumps and canaries are left out.
 */
export function diffServices(
  previous: RuleSet,
  next: RuleSet,
  changed: Iterable<string>,
): TableDiff[] {
  const keys = [...changed];
  return TABLES.map((table) => {
    const shared = keys.some((key) => sharesOtherRules(previous, next, key, table));
    return diffTable(
      table,
      chainsFor(previous, keys, table, shared),
      chainsFor(next, keys, table, shared),
    );
  });
}

/** Whether a Service's rules in chains that Services share are not what they were. */
function sharesOtherRules(
  previous: RuleSet,
  next: RuleSet,
  key: string,
  table: TableName,
): boolean {
  const before = previous.services.get(key)?.shared[table] ?? [];
  const after = next.services.get(key)?.shared[table] ?? [];
  return before.length !== after.length ||
    before.some(({ chain, spec }, i) => chain !== after[i].chain || spec !== after[i].spec);
}

/**
 * The chains that these Services have alone and, where they are asked for, those that all share,
 * whole: these are as long as there are Services.
 */
function chainsFor(
  rules: RuleSet,
  keys: readonly string[],
  table: TableName,
  shared: boolean,
): OwnChains {
  const chains = shared ? ownSharedChains(rules, table) : new Map<string, string[]>();
  for (const key of keys) {
    const part = rules.services.get(key);
    if (part !== undefined) addOwnChains(part, table, chains);
  }
  return new Map([...chains].map(([chain, specs]) => [chain, { keys: specs, specs }]));
}

/** The chains of a rule set that its parts share, as far as they are the proxy's alone. */
function ownSharedChains(rules: RuleSet, table: NodeTableName): Map<string, string[]> {
  const chains = new Map<string, string[]>();
  if (table === "mangle") return chains;
  for (const [chain, shared] of sharedChains(rules, table)) {
    if (isOwnChain(table, chain)) chains.set(chain, shared.map(({ spec }) => spec));
  }
  return chains;
}

/** Adds the chains that a part has alone. */
function addOwnChains(part: Fragment, table: TableName, chains: Map<string, string[]>): void {
  const { chains: own, rules } = part[table];
  if (own.length === 0) return;
  const added = new Map<string, string[]>();
  for (const chain of own) added.set(chain, []);
  for (const { chain, spec } of rules) added.get(chain)?.push(spec);
  for (const [chain, specs] of added) chains.set(chain, specs);
}
