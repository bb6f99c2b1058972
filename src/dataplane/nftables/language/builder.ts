/**
 * Tables as they come about, line by line.
 *
 * @module
 */

import type { BaseChain, Chain, NamedSet, Rule, Ruleset, Table, TableFamily } from "./ast.ts";

/** A chain that is being read. */
export interface ChainBuilder {
  base: BaseChain | null;
  comment: string | null;
  handle: number | null;
  rules: Rule[];
}

/** A table that is being read. */
export interface TableBuilder {
  readonly family: TableFamily;
  readonly name: string;
  comment: string | null;
  flags: string[];
  handle: number | null;
  readonly chains: Map<string, ChainBuilder>;
  readonly sets: Map<string, NamedSet>;
  readonly objects: string[];
}

/** All tables that are being read. */
export class RulesetBuilder {
  readonly #tables = new Map<string, TableBuilder>();

  /** The table, made where it is not there. */
  table(family: TableFamily, name: string): TableBuilder {
    const key = `${family} ${name}`;
    let table = this.#tables.get(key);
    if (table === undefined) {
      table = {
        family,
        name,
        comment: null,
        flags: [],
        handle: null,
        chains: new Map(),
        sets: new Map(),
        objects: [],
      };
      this.#tables.set(key, table);
    }
    return table;
  }

  /** The table; undefined when it is not there. */
  find(family: TableFamily, name: string): TableBuilder | undefined {
    return this.#tables.get(`${family} ${name}`);
  }

  /** Deletes a table, or all of a family, or all. */
  remove(family: TableFamily | null, name: string | null): void {
    for (const [key, table] of this.#tables) {
      if (family !== null && table.family !== family) continue;
      if (name === null || table.name === name) this.#tables.delete(key);
    }
  }

  build(): Ruleset {
    return { tables: [...this.#tables.values()].map(buildTable) };
  }
}

/** The chain, made where it is not there. */
export function chainOf({ chains }: TableBuilder, name: string): ChainBuilder {
  let chain = chains.get(name);
  if (chain === undefined) {
    chain = { base: null, comment: null, handle: null, rules: [] };
    chains.set(name, chain);
  }
  return chain;
}

function buildTable(table: TableBuilder): Table {
  const { family, name, comment, flags, handle, chains, sets, objects } = table;
  return {
    family,
    name,
    comment,
    flags,
    handle,
    chains: [...chains].map(([name, { base, comment, handle, rules }]): Chain => ({
      name,
      base,
      comment,
      handle,
      rules,
    })),
    sets: [...sets.values()],
    objects,
  };
}
