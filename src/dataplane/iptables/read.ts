/**
 * What a node has of the proxy's rules, from iptables-save's text.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import { canonicalRule } from "./canonical.ts";
import type { ChainRules, OwnChains } from "./diff.ts";
import { CHAIN, isHashedChain } from "./names.ts";
import {
  joinWords,
  readRule,
  rulesBetween,
  type RuleText,
  type SaveRule,
  visitSave,
} from "./save_text.ts";

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
 * Of the proxy's own chains it keeps where they stand in the text: the rules of 100,000 endpoints
 * would take hundreds of megabytes, and each chain is looked at once.
 *
 * @param isOwn which chains are the proxy's alone (default: those of iptables mode).
 */
export function readRules(text: string, family: Family, isOwn = isOwnChain): NodeRules {
  const tables = { filter: newTable(), nat: newTable(), mangle: newTable() };
  const reader = new ChainReader(text, family);
  let name: NodeTableName | null = null;
  visitSave(text, {
    table(table) {
      name = NODE_TABLES.find((known) => known === table) ?? null;
    },
    chain(chain) {
      if (name === null) return;
      if (isOwn(name, chain)) tables[name].own.set(chain, new SavedChain(reader));
      else tables[name].others.set(chain, []);
    },
    rule(rule) {
      if (name === null) return;
      const own = tables[name].own.get(rule.chain);
      if (own !== undefined) {
        own.add(rule);
        return;
      }
      const read = readRule(text, rule);
      const key = canonicalRule(read.tokens, family);
      tables[name].others.get(rule.chain)?.push({ key, target: targetOf(read) });
    },
  });
  return tables;
}

function newTable() {
  return { own: new Map<string, SavedChain>(), others: new Map<string, OtherRule[]>() };
}

/** Where rules stand that follow each other. */
type Place = Pick<RuleText, "start" | "end">;

/** A chain by where its rules stand: nearly always one behind the other. */
class SavedChain implements ChainRules {
  readonly #reader: ChainReader;
  #start = 0;
  /** Of the last place; −1 before the first rule. */
  #end = -1;
  /** Those before the last one. */
  #former: Place[] | null = null;

  constructor(reader: ChainReader) {
    this.#reader = reader;
  }

  add({ start, end }: RuleText): void {
    if (this.#end !== start - 1) {
      if (this.#end >= 0) (this.#former ??= []).push({ start: this.#start, end: this.#end });
      this.#start = start;
    }
    this.#end = end;
  }

  get places(): readonly Place[] {
    const last = this.#end < 0 ? [] : [{ start: this.#start, end: this.#end }];
    return [...this.#former ?? [], ...last];
  }

  get keys(): readonly string[] {
    return this.#reader.read(this).keys;
  }

  get specs(): readonly (string | null)[] {
    return this.#reader.read(this).specs;
  }
}

/** Reads chains when they are asked for, and remembers the last one. */
class ChainReader {
  readonly #text: string;
  readonly #family: Family;
  #last: { readonly chain: SavedChain; readonly rules: ReadRules } | null = null;

  constructor(text: string, family: Family) {
    this.#text = text;
    this.#family = family;
  }

  read(chain: SavedChain): ReadRules {
    if (this.#last?.chain !== chain) {
      const rules = chain.places.flatMap(({ start, end }) => [
        ...rulesBetween(this.#text, start, end),
      ]);
      this.#last = { chain, rules: new ReadRules(rules, this.#family) };
    }
    return this.#last.rules;
  }
}

/** Rules that were read. */
class ReadRules implements ChainRules {
  readonly keys: readonly string[];
  readonly #rules: readonly SaveRule[];
  #specs: readonly (string | null)[] | null = null;

  constructor(rules: readonly SaveRule[], family: Family) {
    this.keys = rules.map(({ tokens }) => canonicalRule(tokens, family));
    this.#rules = rules;
  }

  /** Asked for only where a chain is not as it should be. */
  get specs(): readonly (string | null)[] {
    return this.#specs ??= this.#rules.map(specOf);
  }
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
