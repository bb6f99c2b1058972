/**
 * Rules that were read, kept as text until somebody asks for them: those of 100,000 endpoints, taken
 * apart, would take hundreds of megabytes, and each chain is looked at once.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import { canonicalRule } from "./canonical.ts";
import type { ChainRules } from "./diff.ts";
import { joinWords, splitWords } from "./save_text.ts";

/** Where rules of a chain stand in a {@link RuleStore}, one behind the other. */
interface Place {
  readonly bytes: Uint8Array;
  readonly start: number;
  readonly end: number;
}

const NO_BYTES: Uint8Array = new Uint8Array(0);

/** A chain by where its rules stand: nearly always one behind the other. */
export class SavedChain implements ChainRules {
  readonly #store: RuleStore;
  #bytes = NO_BYTES;
  #start = 0;
  #end = 0;
  /** Places before the last one. */
  #former: Place[] | null = null;

  constructor(store: RuleStore) {
    this.#store = store;
  }

  /** Adds a rule by its words. */
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
export class RuleStore {
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

  /** A chain's rules, taken apart. */
  read(chain: SavedChain): ChainRules {
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

/** The rule's words as text; null when a word has a line end in it. */
function specOf(words: readonly string[]): string | null {
  return words.some((word) => /[\n\r\0]/.test(word)) ? null : joinWords(words);
}
