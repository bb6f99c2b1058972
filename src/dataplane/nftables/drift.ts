/**
 * What someone changed behind our back.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import type { Difference } from "../dataplane.ts";
import type { Chain, Element, NamedSet, Table } from "./language/ast.ts";
import { printRule, setElementText } from "./language/print.ts";
import { TABLE, tableFamily } from "./names.ts";
import type { RuleSet, ServiceParts } from "./rules.ts";
import {
  haveSameRules,
  isSameBase,
  isSameElement,
  isSameRule,
  isSameSet,
  keyText,
} from "./same.ts";
import type { SetDeclaration } from "./transaction.ts";

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

/**
 * Every part of a node's table, or null for none, that differs from a rule set. Both are gone through
 * part by part, as neither need be held as a whole.
 */
export function findDrift(node: Table | null, rules: RuleSet): Drift[] {
  const { family, head, services } = rules;
  if (node === null) {
    return [{ ...NOTHING, family, part: "table", name: TABLE, problem: "missing" }];
  }
  const comparison = new Comparison(family, node, head.sets);
  comparison.parts({ chains: head.chains, affinitySets: head.sets, elements: head.elements });
  for (const service of services.values()) comparison.parts(service.render());
  return comparison.result();
}

const NOTHING = { missing: [], unexpected: [] } as const;

/** What a set should have and has not, and the other way round. */
interface ElementTexts {
  readonly missing: string[];
  readonly unexpected: string[];
}

/** Compares a node's table with what should be there, which comes in parts. */
class Comparison {
  readonly #family: Family;
  readonly #asleep: boolean;
  /** What no part had yet. */
  readonly #chains: Map<string, Chain>;
  readonly #sets: Map<string, NamedSet>;
  readonly #elements = new Map<string, Map<string, Element>>();
  readonly #shared: ReadonlyMap<string, SetDeclaration>;
  readonly #seen = new Map<string, Set<string>>();
  readonly #chainDrift: Drift[] = [];
  readonly #setDrift: Drift[] = [];
  readonly #elementDrift = new Map<string, ElementTexts>();

  constructor(family: Family, { flags, chains, sets }: Table, shared: readonly SetDeclaration[]) {
    this.#family = family;
    this.#asleep = flags.includes("dormant");
    this.#chains = new Map(chains.map((chain) => [chain.name, chain]));
    this.#sets = new Map(sets.map((set) => [set.name, set]));
    this.#shared = new Map(shared.map((set) => [set.name, set]));
    for (const { name, elements } of sets) {
      // Whom a set of clients remembers is not the rules' business.
      if (!this.#shared.has(name)) continue;
      this.#elements.set(name, new Map(elements.map((one) => [keyText(one), one])));
      this.#seen.set(name, new Set());
    }
  }

  parts({ chains, affinitySets, elements }: ServiceParts): void {
    for (const chain of chains) this.#chain(chain);
    for (const set of affinitySets) this.#set(set);
    for (const [name, wanted] of elements) {
      for (const element of wanted) this.#element(name, element);
    }
  }

  result(): Drift[] {
    const family = this.#family;
    const asleep: Drift[] = this.#asleep
      ? [{ ...NOTHING, family, part: "table", name: TABLE, problem: "changed" }]
      : [];
    for (const { name, rules } of this.#chains.values()) {
      const unexpected = rules.map(printRule);
      this.#chainDrift.push(
        { ...NOTHING, family, part: "chain", name, problem: "unexpected", unexpected },
      );
    }
    for (const [name, left] of this.#elements) {
      for (const element of left.values()) {
        this.#textsOf(name).unexpected.push(this.#text(name, element));
      }
    }
    for (const [name, texts] of this.#elementDrift) {
      const part = partOf(this.#shared.get(name)!);
      this.#setDrift.push({ ...texts, family, part, name, problem: "changed" });
    }
    for (const set of this.#sets.values()) {
      const part = partOf(set);
      this.#setDrift.push({ ...NOTHING, family, part, name: set.name, problem: "unexpected" });
    }
    return [...asleep, ...this.#chainDrift, ...this.#setDrift];
  }

  #chain({ name, base, rules }: Chain): void {
    const family = this.#family;
    const present = this.#chains.get(name);
    this.#chains.delete(name);
    if (present === undefined) {
      const missing = rules.map(printRule);
      this.#chainDrift.push({
        ...NOTHING,
        family,
        part: "chain",
        name,
        problem: "missing",
        missing,
      });
      return;
    }
    const own = present.rules;
    if (isSameBase(present.base, base) && haveSameRules(own, rules)) return;
    this.#chainDrift.push({
      family,
      part: "chain",
      name,
      problem: "changed",
      missing: rules.filter((rule) => !own.some((one) => isSameRule(rule, one))).map(printRule),
      unexpected: own.filter((one) => !rules.some((rule) => isSameRule(rule, one))).map(printRule),
    });
  }

  #set(set: SetDeclaration): void {
    const family = this.#family;
    const { name } = set;
    const present = this.#sets.get(name);
    this.#sets.delete(name);
    if (present !== undefined && isSameSet(present, set)) return;
    const problem = present === undefined ? "missing" : "changed";
    this.#elements.delete(name);
    this.#setDrift.push({ ...NOTHING, family, part: partOf(set), name, problem });
  }

  /** Those of a set that is not there at all are not told one by one. */
  #element(name: string, wanted: Element): void {
    const elements = this.#elements.get(name);
    if (elements === undefined) return;
    const key = keyText(wanted);
    const seen = this.#seen.get(name)!;
    // Services may have a cluster IP together.
    if (seen.has(key)) return;
    seen.add(key);
    const present = elements.get(key);
    elements.delete(key);
    if (present !== undefined && isSameElement(present, wanted)) return;
    const texts = this.#textsOf(name);
    texts.missing.push(this.#text(name, wanted));
    if (present !== undefined) texts.unexpected.push(this.#text(name, present));
  }

  #textsOf(set: string): ElementTexts {
    let texts = this.#elementDrift.get(set);
    if (texts === undefined) {
      texts = { missing: [], unexpected: [] };
      this.#elementDrift.set(set, texts);
    }
    return texts;
  }

  #text(set: string, element: Element): string {
    return setElementText({ ...this.#shared.get(set)!, handle: null, elements: [] }, element);
  }
}

function partOf({ data }: Pick<NamedSet, "data">): "set" | "map" {
  return data === null ? "set" : "map";
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
