/**
 * What a node has of the proxy's rules, from iptables-save's text.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import { canonicalRule } from "./canonical.ts";
import type { ChainRules, OwnChains } from "./diff.ts";
import { CHAIN, isHashedChain } from "./names.ts";
import { readRule, type RuleText, SaveReader, type SaveRule } from "./save_text.ts";
import { RuleStore, SavedChain } from "./saved_chain.ts";

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

/**
 * Reads iptables-save's or ip6tables-save's text. Throws `SaveTextError` on any other.
 *
 * @param isOwn which chains are the proxy's alone (default: those of iptables mode).
 */
export function readRules(text: string, family: Family, isOwn = isOwnChain): NodeRules {
  const reader = new RulesReader(family, isOwn);
  reader.push(text);
  return reader.end();
}

/**
 * Reads iptables-save's or ip6tables-save's text while it comes, in pieces. Throws `SaveTextError` on
 * any other.
 */
export class RulesReader {
  readonly #tables = { filter: newTable(), nat: newTable(), mangle: newTable() };
  readonly #family: Family;
  readonly #isOwn: typeof isOwnChain;
  readonly #store: RuleStore;
  readonly #reader: SaveReader;
  #table: NodeTableName | null = null;

  /** @param isOwn as of {@link readRules}. */
  constructor(family: Family, isOwn = isOwnChain) {
    this.#family = family;
    this.#isOwn = isOwn;
    this.#store = new RuleStore(family);
    this.#reader = new SaveReader({
      table: (name) => this.#table = NODE_TABLES.find((known) => known === name) ?? null,
      chain: (name) => this.#addChain(name),
      rule: (rule) => this.#addRule(rule),
    });
  }

  push(piece: string): void {
    this.#reader.push(piece);
  }

  /** What the node has, now that the text is complete. */
  end(): NodeRules {
    this.#reader.end();
    return this.#tables;
  }

  #addChain(name: string): void {
    if (this.#table === null) return;
    const { own, others } = this.#tables[this.#table];
    if (this.#isOwn(this.#table, name)) own.set(name, new SavedChain(this.#store));
    else others.set(name, []);
  }

  #addRule(rule: RuleText): void {
    if (this.#table === null) return;
    const { own, others } = this.#tables[this.#table];
    const chain = own.get(rule.chain);
    if (chain !== undefined) {
      chain.add(rule.text.slice(rule.words, rule.end));
      return;
    }
    const read = readRule(rule);
    const key = canonicalRule(read.tokens, this.#family);
    others.get(rule.chain)?.push({ key, target: targetOf(read) });
  }
}

function newTable() {
  return { own: new Map<string, SavedChain>(), others: new Map<string, OtherRule[]>() };
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

/** The chain or target that a rule leads to. */
export function targetOf({ tokens }: Pick<SaveRule, "tokens">): string | null {
  for (let i = 0; i + 1 < tokens.length; i++) {
    if (tokens[i] === "--comment") i++;
    else if (tokens[i] === "-j" || tokens[i] === "-g") return tokens[i + 1];
  }
  return null;
}

/**
 * Chains of rules that were rendered, with keys to compare them with a node's: made when they are
 * asked for, as they never are of a chain that the node has not.
 */
export function withKeys(
  chains: ReadonlyMap<string, readonly string[]>,
  keyOf: (spec: string) => string,
): OwnChains {
  const keyed = new Map<string, ChainRules>();
  for (const [chain, specs] of chains) keyed.set(chain, new RenderedRules(specs, keyOf));
  return keyed;
}

class RenderedRules implements ChainRules {
  readonly specs: readonly string[];
  readonly #keyOf: (spec: string) => string;
  #keys: readonly string[] | null = null;

  constructor(specs: readonly string[], keyOf: (spec: string) => string) {
    this.specs = specs;
    this.#keyOf = keyOf;
  }

  get keys(): readonly string[] {
    return this.#keys ??= this.specs.map(this.#keyOf);
  }
}
