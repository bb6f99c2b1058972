/**
 * The rules of one family, ready to be walked. A chain's rules are understood when a packet first
 * gets there, so that one question about a hundred thousand rules costs only the rules it meets.
 *
 * @module
 */

import { joinWords, type SaveRule, type SaveTable } from "../../dataplane/iptables/save_text.ts";
import { Recent } from "../recent.ts";
import { MATCH_MODULES } from "./matches/modules.ts";
import { NotUnderstood, type Test, unknown } from "./matches/result.ts";
import { type Extensions, type MatchUse, sortWords } from "./options.ts";
import { demandedDest, RuleIndex } from "./rule_index.ts";
import { compileTarget, type Target, targetOptions } from "./targets.ts";

/** A rule. */
export interface Rule {
  /** 1-based, in its chain. */
  readonly number: number;
  /** 1-based, in the text. */
  readonly line: number;
  /** As iptables-save writes it. */
  readonly text: string;
  /** The first comment, or null. */
  readonly comment: string | null;
  /** Asked in this order, as the kernel does. */
  readonly tests: readonly Test[];
  /** The one address whose packets it can match; null: it may match others. */
  readonly dest: string | null;
  readonly target: Target;
}

/** A chain. */
export interface Chain {
  readonly name: string;
  /** What happens to packets that reach the end of a built-in chain; null on all others. */
  readonly policy: string | null;
  readonly rules: readonly Rule[];
  readonly index: RuleIndex<Rule>;
}

const EXTENSIONS: Extensions = {
  base: MATCH_MODULES.get("base")!.options,
  match: (name) => MATCH_MODULES.get(name)?.options,
  target: targetOptions,
  forProtocol: (protocol) => {
    const name = ({ "6": "tcp", "17": "udp", "132": "sctp" } as Record<string, string>)[protocol] ??
      protocol.toLowerCase();
    return MATCH_MODULES.has(name) ? name : undefined;
  },
};

/** A rule that has been read before: it is understood once for all readings. */
export interface UnderstoodOnce {
  /** The same in each reading, as long as neither the rule nor the chain it leads to changes. */
  readonly origin?: object;
}

/** Where a table's rules come from. */
export interface TableSource {
  readonly name: string;
  has(chain: string): boolean;
  /** Of a built-in chain; null on all others. */
  policy(chain: string): string | null;
  /** In order; none of a chain that is not there. */
  rules(chain: string): readonly (SaveRule & UnderstoodOnce)[];
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

/** Chains of a table that are kept understood; those of ten thousand Services would be many times the plan. */
const MOST_CHAINS = 1024;

/** What a rule says, wherever it stands. */
type Meaning = Omit<Rule, "number" | "line">;

/** By {@link UnderstoodOnce.origin}. */
const MEANINGS = new WeakMap<object, Meaning>();

/** One table. */
export class Table {
  readonly #chains = new Recent<string, Chain>(MOST_CHAINS);

  constructor(private readonly source: TableSource) {}

  get name(): string {
    return this.source.name;
  }

  /** Whether the table has the chain. */
  has(name: string): boolean {
    return this.source.has(name);
  }

  /** The chain; one that is not in the text is empty. */
  chain(name: string): Chain {
    return this.#chains.get(name, () => {
      const rules = this.source.rules(name).map((rule, i) => this.#understand(rule, i + 1));
      return { name, policy: this.source.policy(name), rules, index: new RuleIndex(rules) };
    });
  }

  #understand(rule: SaveRule & UnderstoodOnce, number: number): Rule {
    const { origin } = rule;
    let meaning = origin === undefined ? undefined : MEANINGS.get(origin);
    if (meaning === undefined) {
      meaning = this.#meaning(rule);
      if (origin !== undefined) MEANINGS.set(origin, meaning);
    }
    return { number, line: rule.line, ...meaning };
  }

  #meaning(rule: SaveRule): Meaning {
    const { matches, target } = sortWords(rule.tokens, EXTENSIONS);
    const comment = matches.find((use) => use.module === "comment")?.options[0]?.args[0] ?? null;
    return {
      text: `-A ${rule.chain} ${joinWords(rule.tokens.map(onOneLine))}`.trimEnd(),
      comment,
      tests: matches.filter((use) => use.module !== "comment").map(compileMatch),
      dest: demandedDest(matches),
      target: target === null ? { kind: "none" } : compileTarget(target, (name) => this.has(name)),
    };
  }
}

/** Control characters could forge output on a terminal. */
function onOneLine(word: string): string {
  // deno-lint-ignore no-control-regex
  return word.replace(/[\x00-\x1f\x7f]+/g, " ");
}

function compileMatch({ module: name, options }: MatchUse): Test {
  const module = MATCH_MODULES.get(name);
  if (module === undefined) return () => unknown(`match ${name} is not known`);
  try {
    for (const option of options) {
      if (!Object.hasOwn(module.options, option.name)) {
        throw new NotUnderstood(`option ${option.name} is not understood`);
      }
      const count = module.options[option.name];
      if (option.args.length < count) throw new NotUnderstood(`${option.name} lacks an argument`);
    }
    return module.compile(options);
  } catch (error) {
    if (error instanceof NotUnderstood) {
      const { message } = error;
      return () => unknown(`match ${name}: ${message}`);
    }
    throw error;
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
