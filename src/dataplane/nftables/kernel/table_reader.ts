/**
 * A node's tables, ours and those of other programs, read by netlink and kept for a while: while no
 * rules change, which the kernel tells by its generation, only what packets put into sets is read
 * again. Firewalls of many thousand rules are no exception, nor are questions one after the other.
 *
 * @module
 */

import { IdleWatch } from "../../../idle.ts";
import { SET_FLAGS } from "../../../netlink/netfilter/nftables/names.ts";
import type { Nftables, TableContents } from "../../../netlink/netfilter/nftables/nftables.ts";
import type { Table as KernelTable } from "../../../netlink/netfilter/nftables/objects.ts";
import type { ReadTable } from "../access.ts";
import { decompileRule } from "./decompile_rule.ts";
import { decompileSet } from "./sets.ts";
import { decompileTable, type PlacedRule } from "./table.ts";
import { inTurns } from "./turns.ts";

/** Rules and elements of a table that is kept: some 40 MB. */
const MOST_KEPT = 50_000;

/** Sets of it that are read again. */
const MOST_CHANGING = 100;

/** How long it is kept after it was asked for last, milliseconds. */
const IDLE_MS = 60_000;

/** A table as it was read, and the sets in which packets or time change something. */
interface KeptTable {
  readonly table: ReadTable;
  readonly changing: readonly string[];
}

/** Reads tables with a socket that nobody else uses meanwhile. */
export class TableReader {
  readonly #nftables: Nftables;
  /** By handle. */
  readonly #kept = new Map<number, KeptTable>();
  #generation: number | null = null;
  readonly #idle = new IdleWatch(IDLE_MS, () => this.#kept.clear());

  constructor(nftables: Nftables) {
    this.#nftables = nftables;
  }

  /** A table as it is now, of not more than so many rules; null when it is gone. */
  async read(table: KernelTable, mostRules: number): Promise<ReadTable | null> {
    this.#idle.use();
    const generation = this.#nftables.generation();
    if (generation !== this.#generation) this.#kept.clear();
    this.#generation = generation;
    const kept = this.#kept.get(table.handle);
    if (kept !== undefined) return this.#refreshed(kept);
    return await this.#read(table, mostRules);
  }

  async #read({ family, table, handle }: KernelTable, mostRules: number) {
    let count = 0;
    const steps = this.#nftables.contentsSteps(
      { family, table },
      (rule, sets): PlacedRule | null => {
        if (++count > mostRules) return null;
        return { chain: rule.chain, rule: decompileRule(rule, { family, sets }) };
      },
    );
    const contents = await inTurns(steps);
    if (contents === null) return null;
    const read: ReadTable = count > mostRules
      ? { family, name: table, reason: `it has more than ${mostRules} rules` }
      : decompileTable(contents as TableContents<PlacedRule>);
    const changing = contents.sets.filter(isChanging).map(({ set }) => set);
    const size = contents.sets.reduce((sum, { elements }) => sum + elements.length, count);
    if (size <= MOST_KEPT && changing.length <= MOST_CHANGING) {
      this.#keep(handle, contents, {
        table: read,
        changing,
      });
    }
    return read;
  }

  #keep(handle: number, { generation }: TableContents<unknown>, kept: KeptTable): void {
    if (generation === this.#generation) this.#kept.set(handle, kept);
  }

  /** With what sets have now; the rules are the same. */
  #refreshed({ table, changing }: KeptTable): ReadTable {
    if ("reason" in table || changing.length === 0) return table;
    const { family, name } = table;
    return {
      ...table,
      sets: table.sets.map((set) => {
        if (!changing.includes(set.name)) return set;
        const place = { family, table: name, set: set.name };
        const now = this.#nftables.set(place);
        if (now === null) return set;
        return decompileSet({ ...now, elements: this.#nftables.elements(place) });
      }),
    };
  }
}

/** Whether packets, or time, change what is in it. */
function isChanging({ flags }: { readonly flags: number }): boolean {
  return (flags & (SET_FLAGS.eval | SET_FLAGS.timeout)) !== 0;
}
