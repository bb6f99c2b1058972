/**
 * What rules of a table did to a packet, as steps, and which of them could not be decided.
 *
 * @module
 */

import type { Step, UnknownRule } from "../answer.ts";
import { type Budget, type Path, withStep } from "../netfilter/paths.ts";
import type { LinkHook } from "./hooks.ts";
import type { NodeTable, PlacedChain, PlacedRule } from "./tables.ts";

/** What a walk needs of the flow that it belongs to. */
export interface Journal {
  readonly budget: Budget;
  /** One object for steps that are the same. */
  step(rule: PlacedRule | null, step: Step): Step;
  /** Takes up rules that mattered and could not be decided. */
  report(unknown: UnknownRule): void;
}

/** Adds steps of one table to paths. */
export class Notes {
  /** @param at the hook, where that is none of those that packets are told to be at. */
  constructor(
    private readonly table: NodeTable,
    private readonly journal: Journal,
    private readonly at: LinkHook | null,
  ) {}

  /**
   * What a rule did, and what its matches rest on.
   *
   * @param comment of what acted, where that is not the rule.
   */
  act(
    rule: PlacedRule,
    path: Path,
    action: string,
    notes: readonly string[],
    comment: string | null = null,
  ): Path {
    const text = notes.length === 0 ? action : [action, ...notes].join("; ");
    return this.step(rule, path, text, comment ?? rule.rule.comment);
  }

  /** Anything that is to be told of a rule. */
  step(
    rule: PlacedRule,
    path: Path,
    action: string,
    comment: string | null = null,
  ): Path {
    const { chain, number, text } = rule;
    this.journal.budget.step(chain.name);
    const step = this.journal.step(rule, {
      hook: this.#hookOf(path),
      table: this.table.title,
      chain: chain.name,
      rule: number,
      line: rule.rule.line,
      text,
      action,
    });
    return withStep(path, { step, comment });
  }

  /** A rule that could not be decided, and what is assumed. */
  doubt(
    rule: PlacedRule,
    path: Path,
    reason: string,
    assumption: string,
  ): Path {
    const { chain, number, text } = rule;
    const { line } = rule.rule;
    const { title } = this.table;
    this.journal.report({ table: title, chain: chain.name, rule: number, line, text, reason });
    return this.step(rule, path, `${assumption}: ${reason}`);
  }

  /** That a base chain drops what no rule of it has decided about. */
  policy({ name }: PlacedChain, path: Path): Path {
    const step = this.journal.step(null, {
      hook: this.#hookOf(path),
      table: this.table.title,
      chain: name,
      rule: null,
      line: null,
      text: "policy drop",
      action: "dropped by the chain's policy",
    });
    return withStep(path, { step, comment: null });
  }

  #hookOf({ packet }: Path): string {
    return this.at === null ? packet.hook : this.at.toUpperCase();
  }
}
