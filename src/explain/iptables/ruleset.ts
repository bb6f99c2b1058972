/**
 * The rules of one family, ready to be walked. A chain's rules are understood when a packet first
 * gets there, so that one question about a hundred thousand rules costs only the rules it meets.
 *
 * @module
 */

import type { SaveRule, SaveTable } from "../../dataplane/iptables/save_text.ts";
import { Recent } from "../recent.ts";
import { Chain, type RuleReader } from "./chain.ts";
import { type Meaning, meaningOf } from "./meaning.ts";
import type { KnownRule } from "./rule.ts";

/** Where a table's rules come from. */
export interface TableSource {
  readonly name: string;
  has(chain: string): boolean;
  /** Of a built-in chain; null on all others. */
  policy(chain: string): string | null;
  /** In order; none of a chain that is not there. */
  rules(chain: string): readonly KnownRule[];
}

/** A table that was read as a whole. */
class SavedSource implements TableSource {
  readonly #rules = new Map<string, SaveRule[]>();

  constructor(private readonly saved: SaveTable) {
    for (const rule of saved.rules) {
      const list = this.#rules.get(rule.chain);
      if (list === undefined) this.#rules.set(rule.chain, [rule]);
      else list.push(rule);
    }
  }

  get name(): string {
    return this.saved.name;
  }

  has(chain: string): boolean {
    return this.saved.chains.has(chain) || this.#rules.has(chain);
  }

  policy(chain: string): string | null {
    return this.saved.chains.get(chain)?.policy ?? null;
  }

  rules(chain: string): readonly SaveRule[] {
    return this.#rules.get(chain) ?? [];
  }
}

/**
 * Chains of a table that are kept understood: those that most packets come by. A Service's own are a
 * packet's that may never come again; those of ten thousand would be many times the plan.
 */
const MOST_CHAINS = 48;

/** So many rules make a chain a long one: of these more are kept than a table mostly has. */
const LONG = 256;
const MOST_LONG_CHAINS = 16;

/** By {@link KnownRule.origin}. */
const OUTLINES = new WeakMap<object, string | Meaning>();

/** One table. */
export class Table implements RuleReader {
  readonly #source: TableSource;
  readonly #chains = new Recent<string, Chain>(MOST_CHAINS);
  readonly #longChains = new Recent<string, Chain>(MOST_LONG_CHAINS);
  readonly #isChain = (name: string) => this.has(name);

  constructor(source: TableSource) {
    this.#source = source;
  }

  get name(): string {
    return this.#source.name;
  }

  /** Whether the table has the chain. */
  has(name: string): boolean {
    return this.#source.has(name);
  }

  /** The chain; one that is not in the text is empty. */
  chain(name: string): Chain {
    const rules = this.#source.rules(name);
    const kept = rules.length < LONG ? this.#chains : this.#longChains;
    return kept.get(name, () => new Chain(name, this.#source.policy(name), rules, this));
  }

  /** See {@link RuleReader}. */
  meaning({ tokens }: KnownRule): Meaning {
    return meaningOf(tokens, this.#isChain);
  }

  /** See {@link RuleReader}. */
  outline(rule: KnownRule): string | Meaning {
    const { origin } = rule;
    const known = origin === undefined ? undefined : OUTLINES.get(origin);
    if (known !== undefined) return known;
    const meaning = this.meaning(rule);
    const outline = meaning.dest ?? meaning;
    if (origin !== undefined) OUTLINES.set(origin, outline);
    return outline;
  }
}

/** The tables of one family, by name. */
export class RuleSet {
  readonly #tables: ReadonlyMap<string, Table>;

  /** Tables as they were read, or where their rules come from. */
  constructor(tables: readonly (SaveTable | TableSource)[]) {
    this.#tables = new Map(
      tables.map((table) => [
        table.name,
        new Table("has" in table ? table : new SavedSource(table)),
      ]),
    );
  }

  /** Undefined when the text has no such table, which means that it has no rules. */
  table(name: string): Table | undefined {
    return this.#tables.get(name);
  }
}
