/**
 * What someone changed behind our back.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import type { Difference } from "../dataplane.ts";
import type { NamedSet, Table } from "./language/ast.ts";
import { printRule, setElementText } from "./language/print.ts";
import { TABLE, tableFamily } from "./names.ts";
import { type RuleSet, tableOf } from "./rules.ts";
import {
  hasSameBase,
  hasSameRules,
  isSameElement,
  isSameRule,
  isSameSet,
  keyText,
} from "./same.ts";

/** A part of the table that is not as it should be. */
export interface Drift {
  readonly family: Family;
  readonly part: "table" | "chain" | "set" | "map";
  readonly name: string;
  /** "missing": it is gone; "unexpected": there should be none; "changed": it has other content. */
  readonly problem: "missing" | "unexpected" | "changed";
  /** Rules or elements that should be there, as nft lists them. */
  readonly missing: readonly string[];
  /** Those that should not; both are empty when only the order is wrong, or the kind. */
  readonly unexpected: readonly string[];
}

/** Every part of a node's table, or null for none, that differs from a rule set. */
export function findDrift(node: Table | null, rules: RuleSet): Drift[] {
  const { family } = rules;
  if (node === null) {
    return [{ ...NOTHING, family, part: "table", name: TABLE, problem: "missing" }];
  }
  const wanted = tableOf(rules);
  const asleep = node.flags.includes("dormant")
    ? [{ ...NOTHING, family, part: "table", name: TABLE, problem: "changed" } as const]
    : [];
  return [...asleep, ...chainDrift(family, node, wanted), ...setDrift(family, node, wanted)];
}

const NOTHING = { missing: [], unexpected: [] } as const;

function chainDrift(family: Family, node: Table, wanted: Table): Drift[] {
  const found: Drift[] = [];
  const present = new Map(node.chains.map((chain) => [chain.name, chain]));
  for (const chain of wanted.chains) {
    const { name, rules } = chain;
    const own = present.get(name);
    present.delete(name);
    if (own === undefined) {
      const missing = rules.map(printRule);
      found.push({ ...NOTHING, family, part: "chain", name, problem: "missing", missing });
      continue;
    }
    if (hasSameBase(own, chain) && hasSameRules(own, chain)) continue;
    found.push({
      family,
      part: "chain",
      name,
      problem: "changed",
      missing: rules.filter((rule) => !own.rules.some((one) => isSameRule(rule, one)))
        .map(printRule),
      unexpected: own.rules.filter((one) => !rules.some((rule) => isSameRule(rule, one)))
        .map(printRule),
    });
  }
  for (const { name, rules } of present.values()) {
    const unexpected = rules.map(printRule);
    found.push({ ...NOTHING, family, part: "chain", name, problem: "unexpected", unexpected });
  }
  return found;
}

function setDrift(family: Family, node: Table, wanted: Table): Drift[] {
  const found: Drift[] = [];
  const present = new Map(node.sets.map((set) => [set.name, set]));
  for (const set of wanted.sets) {
    const { name } = set;
    const own = present.get(name);
    present.delete(name);
    if (own === undefined) {
      found.push({ ...NOTHING, family, part: partOf(set), name, problem: "missing" });
      continue;
    }
    // Whom a set of clients remembers is not the rules' business.
    const elements = set.flags.includes("dynamic") ? NOTHING : elementDrift(own, set);
    const isSame = isSameSet(own, set) && elements.missing.length === 0 &&
      elements.unexpected.length === 0;
    if (!isSame) found.push({ ...elements, family, part: partOf(set), name, problem: "changed" });
  }
  for (const set of present.values()) {
    found.push({ ...NOTHING, family, part: partOf(set), name: set.name, problem: "unexpected" });
  }
  return found;
}

function partOf({ data }: Pick<NamedSet, "data">): "set" | "map" {
  return data === null ? "set" : "map";
}

function elementDrift(present: NamedSet, wanted: NamedSet) {
  const lacks = (set: NamedSet) => {
    const elements = new Map(set.elements.map((element) => [keyText(element), element]));
    return (element: NamedSet["elements"][number]) => {
      const twin = elements.get(keyText(element));
      return twin === undefined || !isSameElement(twin, element);
    };
  };
  const text = (element: NamedSet["elements"][number]) => setElementText(wanted, element);
  return {
    missing: wanted.elements.filter(lacks(present)).map(text),
    unexpected: present.elements.filter(lacks(wanted)).map(text),
  };
}

/** The same in the words of all data planes. */
export function differencesOf(drift: readonly Drift[]): Difference[] {
  return drift.map((item) => ({
    where: placeOf(item),
    problem: item.problem,
    found: item.unexpected,
    expected: item.missing,
  }));
}

/** "ip kube-proxy chain services" */
function placeOf({ family, part, name }: Drift): string {
  const table = `${tableFamily(family)} ${TABLE}`;
  return part === "table" ? table : `${table} ${part} ${name}`;
}

/** One line for a drift. */
export function formatDrift(drift: Drift): string {
  const { part, problem, missing, unexpected } = drift;
  const what = placeOf(drift);
  if (problem === "missing") return `${what}: the ${part} was removed`;
  if (problem === "unexpected") return `${what}: the ${part} should not be there`;
  const parts = [
    ...missing.slice(0, 1).map((text) => `without ${shown(text, missing.length)}`),
    ...unexpected.slice(0, 1).map((text) => `with ${shown(text, unexpected.length)}`),
  ];
  return `${what}: ${
    parts.length === 0 ? "in another order, or of another kind" : parts.join(", ")
  }`;
}

function shown(text: string, count: number): string {
  return `"${text}"${count > 1 ? ` and ${count - 1} more` : ""}`;
}
