/**
 * A rule set as plain data for programs, and as lines that can be compared.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import type { BaseChain } from "./language/ast.ts";
import { printRule, printTable, setElementText, setProperties } from "./language/print.ts";
import { type Head, type RuleSet, type ServiceParts, tableOf } from "./rules.ts";
import type { SetDeclaration } from "./transaction.ts";

/** The proxy's table of one family. */
export interface TableStructure {
  readonly family: Family;
  readonly name: string;
  readonly chains: readonly {
    readonly name: string;
    /** What calls it; null: other chains. */
    readonly base: Pick<BaseChain, "type" | "hook" | "priority"> | null;
    readonly rules: readonly string[];
  }[];
  readonly sets: readonly {
    readonly name: string;
    readonly kind: "set" | "map";
    /** "type ipv4_addr", and what else it is declared with. */
    readonly properties: readonly string[];
    readonly elements: readonly string[];
  }[];
}

/** The structure of a rule set. */
export function tableStructure(rules: RuleSet): TableStructure {
  const { name, chains, sets } = tableOf(rules);
  return {
    family: rules.family,
    name,
    chains: chains.map(({ name, base, rules }) => ({
      name,
      base: base === null ? null : { type: base.type, hook: base.hook, priority: base.priority },
      rules: rules.map(printRule),
    })),
    sets: sets.map((set) => ({
      name: set.name,
      kind: set.data === null ? "set" : "map",
      properties: setProperties(set),
      elements: set.elements.map((element) => setElementText(set, element)),
    })),
  };
}

/** Rule sets as `nft list` shows them, and `nft -f` takes them. */
export function tablesText(rules: readonly RuleSet[]): string {
  return rules.map((one) => printTable(tableOf(one))).join("\n");
}

/** What there is whatever Services there are, as lines of {@link partLines}. */
export function headLines({ chains, sets, elements }: Head): string[] {
  return partLines({ chains, affinitySets: sets, elements }, sets);
}

/**
 * Lines "chain NAME", "rule CHAIN …", "set NAME …" and "element SET …".
 *
 * @param shared the sets that elements may be in.
 */
export function partLines(
  { chains, affinitySets, elements }: ServiceParts,
  shared: readonly SetDeclaration[],
): string[] {
  const setOf = new Map(shared.map((set) => [set.name, set]));
  return [
    ...affinitySets.map((set) => `set ${set.name} ${setProperties(set).join("; ")}`),
    ...chains.flatMap(({ name, rules }) => [
      `chain ${name}`,
      ...rules.map((rule) => `rule ${name} ${printRule(rule)}`),
    ]),
    ...[...elements].flatMap(([name, own]) =>
      own.map((element) => `element ${name} ${setElementText(whole(setOf.get(name)!), element)}`)
    ),
  ];
}

function whole(set: SetDeclaration) {
  return { ...set, handle: null, elements: [] };
}
