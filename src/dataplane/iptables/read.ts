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
  type RuleText,
  SaveReader,
  type SaveRule,
  splitWords,
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
 *
 * Of the rules in the proxy's own chains it keeps the text: those of 100,000 endpoints, taken apart,
 * would take hundreds of megabytes, and each chain is looked at once.
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

/** Where rules of a chain stand in a {@link RuleStore}, one behind the other. */
interface Place {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

const NO_BYTES: Uint8Array = new Uint8Array(0);

/** A chain by where its rules stand: nearly always one behind the other. */
class SavedChain implements ChainRules {
  readonly #store: RuleStore;
  #bytes = NO_BYTES;
  #start = 0;
  #end = 0;
  /** Places before the last one. */
  #former: Place[] | null = null;

  constructor(store: RuleStore) {
    this.#store = store;
  }

  add(words: string): void {
    const { bytes, start, end } = this.#store.add(words);
    if (this.#bytes !== bytes || this.#end !== start) {
      if (this.#bytes !== NO_BYTES) (this.#former ??= []).push(this.#last);
      this.#bytes = bytes;
      this.#start = start;
    }
    this.#end = end;
  }

  get places(): readonly Place[] {
    return [...this.#former ?? [], ...this.#bytes === NO_BYTES ? [] : [this.#last]];
  }

  get #last(): Place {
    return { bytes: this.#bytes, start: this.#start, end: this.#end };
  }

  get keys(): readonly string[] {
    return this.#store.read(this).keys;
  }

  get specs(): readonly (string | null)[] {
    return this.#store.read(this).specs;
  }
}

/** Bytes of text that are kept together. */
const BLOCK = 1 << 20;
/** Ends a rule; there is none in it. */
const END = "\0";

/**
 * Keeps rules as text, outside of V8's heap, which would grow by more than what it is given. Reads
 * chains when they are asked for, and remembers the last one.
 */
class RuleStore {
  readonly #family: Family;
  readonly #encoder = new TextEncoder();
  readonly #decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  #block: Uint8Array = NO_BYTES;
  #used = 0;
  #last: { readonly chain: SavedChain; readonly rules: ReadRules } | null = null;

  constructor(family: Family) {
    this.#family = family;
  }

  /** Keeps a rule by its words. */
  add(words: string): Place {
    // No character takes more than three bytes for each of its UTF-16 units.
    const most = 3 * words.length + END.length;
    if (this.#block.length - this.#used < most) {
      this.#block = new Uint8Array(Math.max(BLOCK, most));
      this.#used = 0;
    }
    const start = this.#used;
    const { written } = this.#encoder.encodeInto(words + END, this.#block.subarray(start));
    this.#used += written;
    return { bytes: this.#block, start, end: this.#used };
  }

  read(chain: SavedChain): ReadRules {
    if (this.#last?.chain !== chain) {
      const rules = chain.places.flatMap((place) => this.#wordsAt(place));
      this.#last = { chain, rules: new ReadRules(rules, this.#family) };
    }
    return this.#last.rules;
  }

  #wordsAt({ bytes, start, end }: Place): string[] {
    return this.#decoder.decode(bytes.subarray(start, end - END.length)).split(END);
  }
}

/** Rules that were read, by their words as text. */
class ReadRules implements ChainRules {
  readonly keys: readonly string[];
  readonly #rules: readonly string[];
  #specs: readonly (string | null)[] | null = null;

  constructor(rules: readonly string[], family: Family) {
    this.keys = rules.map((words) => canonicalRule(splitWords(words)!, family));
    this.#rules = rules;
  }

  /** Asked for only where a chain is not as it should be. */
  get specs(): readonly (string | null)[] {
    return this.#specs ??= this.#rules.map((words) => specOf(splitWords(words)!));
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
function specOf(words: readonly string[]): string | null {
  return words.some((word) => /[\n\r\0]/.test(word)) ? null : joinWords(words);
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
