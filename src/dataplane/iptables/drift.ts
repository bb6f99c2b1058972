/**
 * What someone changed behind our back.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import type { Difference } from "../dataplane.ts";
import { hasRule, NODE_TABLES, type NodeRules } from "./read.ts";
import type { RuleSet } from "./rules.ts";
import { desiredChains, foreignRules, keyOf } from "./transaction.ts";

/** A chain that is not as it should be. */
export interface Drift {
  readonly family: Family;
  readonly table: string;
  readonly chain: string;
  /** "missing": the chain is gone; "unexpected": there should be none; "changed": other rules. */
  readonly problem: "missing" | "unexpected" | "changed";
  /** Rules that should be there, as restore text. */
  readonly missing: readonly string[];
  /** Rules that should not; both are empty when only their order is wrong. */
  readonly unexpected: readonly string[];
}

/** Every chain of a node that differs from a rule set. */
export function findDrift(node: NodeRules, rules: RuleSet): Drift[] {
  const { family } = rules;
  return NODE_TABLES.flatMap((table) => {
    const found: Drift[] = [];
    const { own, others } = node[table];
    const report = (chain: string, problem: Drift["problem"], rest: Partial<Drift> = {}) =>
      found.push({ family, table, chain, problem, missing: [], unexpected: [], ...rest });
    const unexpected = new Set(own.keys());
    for (const [chain, specs] of desiredChains(rules, table)) {
      unexpected.delete(chain);
      const present = own.get(chain);
      if (present === undefined) {
        report(chain, "missing", { missing: specs });
        continue;
      }
      const keys = specs.map((spec) => keyOf(spec, family));
      if (keys.length === present.keys.length && keys.every((k, i) => k === present.keys[i])) {
        continue;
      }
      report(chain, "changed", {
        missing: specs.filter((_, i) => !present.keys.includes(keys[i])),
        unexpected: present.keys.flatMap((key, i) =>
          keys.includes(key) ? [] : [present.specs[i] ?? key]
        ),
      });
    }
    for (const chain of unexpected) {
      const { specs, keys } = own.get(chain)!;
      report(chain, "unexpected", { unexpected: specs.map((spec, i) => spec ?? keys[i]) });
    }
    for (const { chain, spec } of foreignRules(rules, table)) {
      if (hasRule(others, chain, keyOf(spec, family))) continue;
      report(chain, "changed", { missing: [spec] });
    }
    return found;
  });
}

/** The same in the words of all data planes. */
export function differencesOf(drift: readonly Drift[]): Difference[] {
  return drift.map(({ family, table, chain, problem, missing, unexpected }) => ({
    where: `${family} ${table} ${chain}`,
    problem,
    found: unexpected,
    expected: missing,
  }));
}

/** One line for a drift. */
export function formatDrift({ family, table, chain, problem, missing, unexpected }: Drift): string {
  const what = `${family} ${table} ${chain}`;
  if (problem === "missing") return `${what}: the chain was removed`;
  if (problem === "unexpected") return `${what}: the chain should not be there`;
  const parts = [
    ...missing.slice(0, 1).map((spec) => `without ${shown(spec, missing.length)}`),
    ...unexpected.slice(0, 1).map((spec) => `with ${shown(spec, unexpected.length)}`),
  ];
  return `${what}: ${parts.length === 0 ? "rules in another order" : parts.join(", ")}`;
}

function shown(spec: string, count: number): string {
  return `"${spec}"${count > 1 ? ` and ${count - 1} more` : ""}`;
}
