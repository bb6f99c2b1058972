/**
 * A rule set as plain data for programs: tables with their chains and rules, in the order of the
 * restore text.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import { JUMPS } from "./jumps.ts";
import { collectChains, fragments, type RuleSet, type TableName, TABLES } from "./rules.ts";

/** The rules of one family. */
export interface RuleStructure {
  readonly family: Family;
  readonly tables: readonly TableStructure[];
}

/** The rules of one table. */
export interface TableStructure {
  readonly name: TableName;
  /** The chains that the proxy owns, whole. */
  readonly chains: readonly {
    readonly name: string;
    /** What follows `-A CHAIN` in restore text. */
    readonly rules: readonly string[];
  }[];
  /** Rules in the kernel's own chains, in the order in which each is put in front of its chain. */
  readonly jumps: readonly { readonly chain: string; readonly rule: string }[];
}

/** The structure of a rule set. */
export function ruleStructure(rules: RuleSet): RuleStructure {
  return {
    family: rules.family,
    tables: TABLES.map((name) => {
      const chains = collectChains(fragments(rules), name);
      return {
        name,
        chains: [...chains].map(([name, rules]) => ({ name, rules })),
        jumps: JUMPS.filter(({ table, to }) => table === name && chains.has(to))
          .map(({ chain, spec }) => ({ chain, rule: spec })),
      };
    }),
  };
}
