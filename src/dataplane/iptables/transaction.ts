/**
 * What to change on a node: against what it was read to have, or against what was written last.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import { canonicalRule } from "./canonical.ts";
import { diffTable, type OwnChains, type TableDiff } from "./diff.ts";
import { JUMPS } from "./jumps.ts";
import { CHAIN } from "./names.ts";
import {
  hasRule,
  isOwnChain,
  NODE_TABLES,
  type NodeRules,
  type NodeTableName,
  targetsOfOthers,
  withKeys,
} from "./read.ts";
import { collectChains, type Fragment, fragments, type RuleSet, TABLES } from "./rules.ts";
import { splitWords } from "./save_text.ts";
import { chainLine, ruleLine } from "./text.ts";

/** Key of a rule in restore text. */
export function keyOf(spec: string, family: Family): string {
  const words = splitWords(spec);
  if (words === null) throw new TypeError(`not a rule: ${spec}`);
  return canonicalRule(words, family);
}

/** Everything that differs between a node and a rule set: chains, jumps and canaries. */
export function diffNode(node: NodeRules, rules: RuleSet): TableDiff[] {
  const { family } = rules;
  return NODE_TABLES.map((table) => {
    const desired = desiredChains(rules, table);
    const keyed = withKeys(desired, (spec) => keyOf(spec, family));
    const { own, others } = node[table];
    const foreign = foreignRules(rules, table).flatMap(({ chain, spec, command }) =>
      hasRule(others, chain, keyOf(spec, family)) ? [] : [ruleLine(command, chain, spec)]
    );
    return diffTable(table, own, keyed, {
      referenced: targetsOfOthers(others),
      foreign: [...missingChains(node, table), ...foreign],
    });
  });
}

/** Chains that a rule set has alone in a table, and the canary. */
export function desiredChains(
  rules: RuleSet,
  table: NodeTableName,
): ReadonlyMap<string, readonly string[]> {
  const chains = table === "mangle"
    ? new Map<string, readonly string[]>()
    : collectChains(fragments(rules), table);
  for (const chain of chains.keys()) if (!isOwnChain(table, chain)) chains.delete(chain);
  return chains.set(CHAIN.canary, []);
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
  const partsOf = (rules: RuleSet) => keys.flatMap((key) => rules.services.get(key) ?? []);
  return TABLES.map((table) =>
    diffTable(
      table,
      chainsFor(previous, partsOf(previous), table),
      chainsFor(next, partsOf(next), table),
    )
  );
}

/** The chains that Services share, whole, and those that these parts have alone. */
function chainsFor(
  rules: RuleSet,
  parts: readonly Fragment[],
  table: "filter" | "nat",
): OwnChains {
  const chains = new Map<string, string[]>();
  for (const chain of rules.head[table].chains) {
    if (isOwnChain(table, chain)) chains.set(chain, []);
  }
  for (const part of fragments(rules)) {
    const relevant = part === rules.head ? part[table].rules : part[table].shared;
    for (const { chain, spec } of relevant) chains.get(chain)?.push(spec);
  }
  const own = new Map([...chains, ...collectOwn(parts, table)]);
  return new Map([...own].map(([chain, specs]) => [chain, { keys: specs, specs }]));
}

function collectOwn(parts: readonly Fragment[], table: "filter" | "nat") {
  const own = new Map<string, readonly string[]>();
  for (const part of parts) {
    const chains = collectChains([part], table);
    for (const chain of part[table].chains) own.set(chain, chains.get(chain)!);
  }
  return own;
}
