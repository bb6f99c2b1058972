/**
 * A rule, understood.
 *
 * @module
 */

import { joinWords, type SaveRule } from "../../dataplane/iptables/save_text.ts";
import type { Step } from "../answer.ts";
import type { Meaning } from "./meaning.ts";
import type { Hook } from "../netfilter/packet.ts";
import type { OtherSteps } from "../netfilter/steps.ts";

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

/** Steps of one rule that are kept. */
const MOST_KEPT = 16;

const NO_STEPS: readonly Step[] = [];

/** A rule of a chain. */
export class Rule implements Meaning {
  readonly comment: Meaning["comment"];
  readonly tests: Meaning["tests"];
  readonly dest: Meaning["dest"];
  readonly target: Meaning["target"];
  readonly #table: string;
  readonly #read: KnownRule;
  #text: string | null = null;
  /** What it was seen to do: each step is one object, however many packets take it. */
  #steps = NO_STEPS;

  /** @param number 1-based, in its chain. */
  constructor(
    table: string,
    read: KnownRule,
    readonly number: number,
    { comment, tests, dest, target }: Meaning,
  ) {
    this.#table = table;
    this.#read = read;
    this.comment = comment;
    this.tests = tests;
    this.dest = dest;
    this.target = target;
  }

  /** 1-based, in the text. */
  get line(): number {
    return this.#read.line;
  }

  /** As iptables-save writes it. */
  get text(): string {
    return this.#text ??= this.#read.text ?? textOf(this.#read);
  }

  /** The step that a packet takes at a hook; those beyond the first few are kept by `others`. */
  step(hook: Hook, action: string, others: OtherSteps): Step {
    for (const step of this.#steps) if (step.action === action && step.hook === hook) return step;
    const { chain, line } = this.#read;
    const { number: rule, text } = this;
    const step = { hook, table: this.#table, chain, rule, line, text, action };
    if (this.#steps.length === MOST_KEPT) return others.once(step);
    this.#steps = this.#steps.length === 0 ? [step] : this.#steps.concat([step]);
    return step;
  }
}

function textOf({ chain, tokens }: SaveRule): string {
  return `-A ${chain} ${joinWords(tokens.map(onOneLine))}`.trimEnd();
}

/** Control characters could forge output on a terminal. */
function onOneLine(word: string): string {
  // deno-lint-ignore no-control-regex
  return word.replace(/[\x00-\x1f\x7f]+/g, " ");
}
