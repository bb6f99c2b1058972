/**
 * The tables of other programs on a node, read by netlink. They are kept while no rules of the node
 * change, as firewalls of many thousand rules are no exception.
 *
 * @module
 */

import { SET_FLAGS } from "../../../netlink/netfilter/nftables/names.ts";
import type { Nftables, TableContents } from "../../../netlink/netfilter/nftables/nftables.ts";
import type { Table as KernelTable } from "../../../netlink/netfilter/nftables/objects.ts";
import type { ReadTable } from "../access.ts";
import type { NamedSet } from "../language/ast.ts";
import { decompileRule } from "./decompile_rule.ts";
import { decompileTable, type PlacedRule } from "./table.ts";
import { inTurns } from "./turns.ts";

/** Rules of one table that are read. */
const MOST_RULES = 20_000;

/** Rules and elements of a table that is kept. */
const MOST_KEPT = 20_000;

/** Reads tables with a socket that nobody else uses meanwhile. */
export class OtherTables {
  readonly #nftables: Nftables;
  readonly #mostRules: number;
  /** By handle. */
  #kept = new Map<number, ReadTable>();
  #generation: number | null = null;

  constructor(nftables: Nftables, mostRules = MOST_RULES) {
    this.#nftables = nftables;
    this.#mostRules = mostRules;
  }

  /** A table as it is now; null when it is gone. */
  async read(table: KernelTable): Promise<ReadTable | null> {
    const generation = this.#nftables.generation();
    if (generation !== this.#generation) this.#kept.clear();
    this.#generation = generation;
    const kept = this.#kept.get(table.handle);
    if (kept !== undefined) return kept;
    const read = await this.#read(table);
    if (read !== null && read.lasting && read.generation === generation) {
      this.#kept.set(table.handle, read.table);
    }
    return read?.table ?? null;
  }

  async #read({ family, table }: KernelTable) {
    let count = 0;
    const steps = this.#nftables.contentsSteps(
      { family, table },
      (rule, sets): PlacedRule | null => {
        if (++count > this.#mostRules) return null;
        return { chain: rule.chain, rule: decompileRule(rule, { family, sets }) };
      },
    );
    const contents = await inTurns(steps);
    if (contents === null) return null;
    const { generation } = contents;
    if (count > this.#mostRules) {
      const reason = `it has more than ${this.#mostRules} rules`;
      return { table: { family, name: table, reason }, lasting: true, generation };
    }
    const whole = decompileTable(contents as TableContents<PlacedRule>);
    return {
      table: { ...whole, sets: whole.sets.filter(isUnderstood) },
      lasting: isLasting(contents),
      generation,
    };
  }
}

/** What a set of types holds that are not known is left out, as it would look empty. */
function isUnderstood({ key, data }: NamedSet): boolean {
  return ![...key, ...data ?? []].some((type) => type.startsWith("type "));
}

/** Whether nothing changes in it without a change of rules, and it is worth its room. */
function isLasting({ sets, rules }: TableContents<unknown>): boolean {
  const elements = sets.reduce((sum, { elements }) => sum + elements.length, 0);
  return rules.length + elements <= MOST_KEPT &&
    !sets.some(({ flags }) => (flags & (SET_FLAGS.eval | SET_FLAGS.timeout)) !== 0);
}
