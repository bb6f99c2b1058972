/**
 * The rules of a chain by the address that their packets go to: of ten thousand in KUBE-SERVICES a
 * packet can match a few. Those for packets to one address alone are understood when such a packet
 * comes.
 *
 * @module
 */

import { Recent } from "../recent.ts";
import type { Meaning } from "./meaning.ts";
import { type KnownRule, Rule } from "./rule.ts";

/** Understands the rules of a table. */
export interface RuleReader {
  /** The table's. */
  readonly name: string;
  meaning(rule: KnownRule): Meaning;
  /** The one address whose packets a rule can match, or the meaning of one that may match others. */
  outline(rule: KnownRule): string | Meaning;
}

/** Addresses for which a chain's rules are kept understood. */
const MOST_ADDRESSES = 16;

const NO_RULES: readonly Rule[] = [];

/** Rules of a chain that demand an address each. */
class Demanding {
  readonly #numbers = new Map<string, number[]>();
  readonly #understood = new Recent<string, readonly Rule[]>(MOST_ADDRESSES);

  add(dest: string, number: number): void {
    const numbers = this.#numbers.get(dest);
    if (numbers === undefined) this.#numbers.set(dest, [number]);
    else numbers.push(number);
  }

  /** Those of an address, understood; undefined: none demands it. */
  of(dest: string, understand: (number: number) => Rule): readonly Rule[] | undefined {
    const numbers = this.#numbers.get(dest);
    return numbers && this.#understood.get(dest, () => numbers.map(understand));
  }
}

/** A chain. */
export class Chain {
  readonly #read: readonly KnownRule[];
  readonly #reader: RuleReader;
  /** Those that may match packets to any address. */
  readonly #anywhere: Rule[] = [];
  /** The others; null, as in most chains: there are none. */
  #demanding: Demanding | null = null;

  /**
   * @param policy what happens to packets that reach the end of a built-in chain; null on all others.
   * @param rules in order.
   */
  constructor(
    readonly name: string,
    readonly policy: string | null,
    rules: readonly KnownRule[],
    reader: RuleReader,
  ) {
    this.#read = rules;
    this.#reader = reader;
    for (let number = 1; number <= rules.length; number++) {
      const outline = reader.outline(rules[number - 1]);
      if (typeof outline !== "string") {
        this.#anywhere.push(this.#rule(number, outline));
        continue;
      }
      this.#demanding ??= new Demanding();
      this.#demanding.add(outline, number);
    }
  }

  /**
   * The rules that packets to a canonical address may match, in order; those that are left out would
   * say no, and leave no trace. The same list for all addresses that no rule demands.
   */
  rulesFor(dest: string): readonly Rule[] {
    const own = this.#ownOf(dest);
    return own.length === 0 ? this.#anywhere : this.#inOrder(own);
  }

  /** The same of packets to any of these. */
  rulesForAny(dests: ReadonlySet<string>): readonly Rule[] {
    const own = [...dests].flatMap((dest) => this.#ownOf(dest));
    return own.length === 0 ? this.#anywhere : this.#inOrder(own);
  }

  /** The rule behind another; undefined: that is the last. */
  next({ number }: Rule): Rule | undefined {
    return number === this.#read.length ? undefined : this.#rule(number + 1);
  }

  #ownOf(dest: string): readonly Rule[] {
    return this.#demanding?.of(dest, (number) => this.#rule(number)) ?? NO_RULES;
  }

  #inOrder(own: readonly Rule[]): readonly Rule[] {
    return [...own, ...this.#anywhere].sort((a, b) => a.number - b.number);
  }

  #rule(number: number, known?: Meaning): Rule {
    const read = this.#read[number - 1];
    return new Rule(this.#reader.name, read, number, known ?? this.#reader.meaning(read));
  }
}
