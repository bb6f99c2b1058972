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
import { RuleSteps } from "./steps.ts";
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
  readonly steps: RuleSteps;
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

/** What may be known of a rule beside its words. */
export interface KnownRule extends SaveRule {
  /**
   * The same in each reading, as long as neither the rule nor the chain it leads to changes: a rule
   * that has been read before is understood once for all readings.
   */
  readonly origin?: object;
  /** As iptables-save would write it. */
  readonly text?: string;
}

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

/** Chains of a table that are kept understood; those of ten thousand Services would be many times the plan. */
const MOST_CHAINS = 256;

/** What a rule says, wherever it stands. */
type Meaning = Omit<Rule, "number" | "line" | "steps">;

/** By {@link KnownRule.origin}. */
const MEANINGS = new WeakMap<object, Meaning>();

/** One table. */
export class Table {
  readonly #chains = new Recent<string, Chain>(MOST_CHAINS);

  readonly #isChain = (name: string) => this.has(name);

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

  #understand(rule: KnownRule, number: number): Rule {
    const { origin } = rule;
    let meaning = origin === undefined ? undefined : MEANINGS.get(origin);
    if (meaning === undefined) {
      meaning = this.#meaning(rule);
      if (origin !== undefined) MEANINGS.set(origin, meaning);
    }
    const { text, comment, tests, dest, target } = meaning;
    const { chain, line } = rule;
    const steps = new RuleSteps({ table: this.name, chain, rule: number, line, text });
    return { number, line, text, comment, tests, dest, target, steps };
  }

  #meaning(rule: KnownRule): Meaning {
    const { matches, target } = sortWords(rule.tokens, EXTENSIONS);
    const comment = matches.find(({ module }) => module === "comment");
    return {
      text: rule.text ?? textOf(rule),
      comment: comment?.options[0]?.args[0] ?? null,
      tests: matches.filter(({ module }) => module !== "comment").map(compileMatch),
      dest: demandedDest(matches),
      target: target === null ? NO_TARGET : compileTarget(target, this.#isChain),
    };
  }
}

const NO_TARGET: Target = { kind: "none" };

function textOf({ chain, tokens }: SaveRule): string {
  return `-A ${chain} ${joinWords(tokens.map(onOneLine))}`.trimEnd();
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
