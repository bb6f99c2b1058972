/**
 * What a node has of the proxy's rules, from iptables-save's text.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import { canonicalRule } from "./canonical.ts";
import type { ChainRules, OwnChains } from "./diff.ts";
import { CHAIN, isHashedChain } from "./names.ts";
import { joinWords, parseSave, type SaveRule, type SaveTable } from "./save_text.ts";

/** Tables that are looked at, in the order in which they are written. */
export const NODE_TABLES = ["filter", "nat", "mangle"] as const;

/** A table that is looked at. */
export type NodeTableName = typeof NODE_TABLES[number];

/** What a node has in one table. */
export interface NodeTable {
  /** Chains that are the proxy's alone. */
  readonly own: OwnChains;
  /** All other chains, with their rules in order. */
  readonly others: ReadonlyMap<string, readonly OtherRule[]>;
}

/** A rule in a chain that is not the proxy's alone. */
export interface OtherRule {
  readonly key: string;
  /** The chain or target that it leads to. */
  readonly target: string | null;
}

/** What a node has, by table. */
export type NodeRules = Readonly<Record<NodeTableName, NodeTable>>;

const OWN: Readonly<Record<NodeTableName, ReadonlySet<string>>> = {
  filter: new Set([
    CHAIN.services,
    CHAIN.externalServices,
    CHAIN.forward,
    CHAIN.nodePorts,
    CHAIN.proxyFirewall,
    CHAIN.canary,
  ]),
  nat: new Set([
    CHAIN.services,
    CHAIN.nodePorts,
    CHAIN.postrouting,
    CHAIN.markMasquerade,
    CHAIN.canary,
  ]),
  mangle: new Set([CHAIN.canary]),
};

/** Whether a chain is the proxy's alone: only it writes rules there. */
export function isOwnChain(table: NodeTableName, chain: string): boolean {
  return OWN[table].has(chain) || (table === "nat" && isHashedChain(chain));
}

/** Reads iptables-save's or ip6tables-save's text. Throws `SaveTextError` on any other. */
export function readRules(text: string, family: Family): NodeRules {
  const tables = new Map(parseSave(text).map((table) => [table.name, table]));
  const read = (name: NodeTableName) => readTable(name, tables.get(name), family);
  return { filter: read("filter"), nat: read("nat"), mangle: read("mangle") };
}

function readTable(name: NodeTableName, table: SaveTable | undefined, family: Family): NodeTable {
  const own = new Map<string, { keys: string[]; specs: (string | null)[] }>();
  const others = new Map<string, OtherRule[]>();
  for (const chain of table?.chains.keys() ?? []) {
    if (isOwnChain(name, chain)) own.set(chain, { keys: [], specs: [] });
    else others.set(chain, []);
  }
  for (const rule of table?.rules ?? []) {
    const key = canonicalRule(rule.tokens, family);
    const mine = own.get(rule.chain);
    if (mine !== undefined) {
      mine.keys.push(key);
      mine.specs.push(specOf(rule));
    } else {
      others.get(rule.chain)?.push({ key, target: targetOf(rule) });
    }
  }
  return { own, others };
}

/** The targets of rules in chains that are not the proxy's alone, its own chains among them. */
export function targetsOfOthers(others: NodeTable["others"]): Set<string> {
  const targets = new Set<string>();
  for (const { target } of [...others.values()].flat()) if (target !== null) targets.add(target);
  return targets;
}

/** Whether a chain that is not the proxy's alone has a rule. */
export function hasRule(others: NodeTable["others"], chain: string, key: string): boolean {
  return others.get(chain)?.some((rule) => rule.key === key) ?? false;
}

/** The rule's words as text; null when a word has a line end in it. */
function specOf({ tokens }: SaveRule): string | null {
  return tokens.some((word) => /[\n\r\0]/.test(word)) ? null : joinWords(tokens);
}

/** The chain or target that a rule leads to. */
export function targetOf({ tokens }: Pick<SaveRule, "tokens">): string | null {
  for (let i = 0; i + 1 < tokens.length; i++) {
    if (tokens[i] === "--comment") i++;
    else if (tokens[i] === "-j" || tokens[i] === "-g") return tokens[i + 1];
  }
  return null;
}

/** Chains of rules that were rendered, with keys to compare them with a node's. */
export function withKeys(
  chains: ReadonlyMap<string, readonly string[]>,
  keyOf: (spec: string) => string,
): OwnChains {
  const keyed = new Map<string, ChainRules>();
  for (const [chain, specs] of chains) keyed.set(chain, { keys: specs.map(keyOf), specs });
  return keyed;
}
