/**
 * Our own rules as a node would have them, without programming one.
 *
 * @module
 */

import { type Jump, JUMPS } from "../../dataplane/iptables/jumps.ts";
import {
  type Chains,
  collectChains,
  fragments,
  type RuleSet,
  type TableName,
  TABLES,
} from "../../dataplane/iptables/rules.ts";
import { type SaveTable, splitWords } from "../../dataplane/iptables/save_text.ts";
import { flat } from "../../flat_text.ts";
import type { KnownRule } from "./rule.ts";

/** The kernel's chains. */
export const BUILT_IN: Readonly<Record<TableName, readonly string[]>> = {
  filter: ["INPUT", "FORWARD", "OUTPUT"],
  nat: ["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"],
};

/** The tables of a rendered rule set on a node that has no other rules: {@link chainTables}. */
export function renderedTables(rules: RuleSet): SaveTable[] {
  const parts = fragments(rules);
  const of = (table: TableName) => collectChains(parts, table);
  return chainTables({ filter: of("filter"), nat: of("nat") }, JUMPS);
}

/**
 * The tables of chains with those of the jumps that lead to them, each of which is put in front of
 * its chain, and nothing else. Lines are those that the tables would have as text. Rules are split
 * into words when a question first gets to them, as most never do.
 */
export function chainTables(
  chains: Readonly<Record<TableName, Chains>>,
  allJumps: readonly Jump[],
): SaveTable[] {
  let line = 0;
  return TABLES.map((name): SaveTable => {
    const own = chains[name];
    const jumps = allJumps.filter(({ table, to }) => table === name && own.has(to));
    const table: SaveTable = { name, line: ++line, chains: new Map(), rules: [] };
    const declare = (chain: string, policy: string | null) =>
      table.chains.set(chain, { policy, counters: null, line: ++line });
    const add = (chain: string, spec: string) =>
      table.rules.push(new RenderedRule(chain, spec, ++line));
    for (const chain of BUILT_IN[name]) declare(chain, "ACCEPT");
    for (const chain of own.keys()) declare(chain, null);
    // Each jump is put in front of those before it.
    for (const { chain, spec } of jumps.toReversed()) add(chain, spec);
    for (const [chain, specs] of own) for (const spec of specs) add(chain, spec);
    line++; // COMMIT
    return table;
  });
}

/** A rule whose words are found when they are asked for, which is once at most. */
export class RenderedRule implements KnownRule {
  /** @param origin see {@link KnownRule}. */
  constructor(
    readonly chain: string,
    private readonly spec: string,
    readonly line: number,
    readonly origin?: object,
  ) {}

  /** Whether another one has the same words, whatever its line. */
  says({ chain, spec, origin }: RenderedRule): boolean {
    return origin !== undefined && origin === this.origin ||
      chain === this.chain && spec === this.spec;
  }

  get tokens(): readonly string[] {
    const tokens = splitWords(this.spec);
    if (tokens !== null) return tokens;
    throw new TypeError(`a quote is not closed in a rule of ${this.chain}: ${this.spec}`);
  }

  /** As it was rendered, which is as iptables-save would write it. */
  get text(): string {
    return flat`-A ${this.chain} ${this.spec}`;
  }
}
