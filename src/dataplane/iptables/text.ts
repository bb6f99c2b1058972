/**
 * A rule set as the text that kube-proxy gives to iptables-restore, in its order: tables, in each
 * the chains first, then the rules. Restored with --noflush, a chain's line makes or empties that
 * chain and no other.
 *
 * @module
 */

import { type Fragment, fragments, type RuleSet, TABLES } from "./rules.ts";

/** Which part of the rules to write. */
export interface TextScope {
  /**
   * The Services, by "namespace/name", whose own chains are written (default: all). The chains that
   * Services share are always written whole, as kube-proxy does in a partial sync.
   */
  readonly services?: ReadonlySet<string>;
  /** Chains of nat to be removed. */
  readonly stale?: readonly string[];
}

/** Restore text of a rule set. */
export function restoreText(rules: RuleSet, scope: TextScope = {}): string {
  const { services, stale = [] } = scope;
  const parts = fragments(rules);
  const skipped = new Set<Fragment>();
  if (services !== undefined) {
    for (const [key, fragment] of rules.services) if (!services.has(key)) skipped.add(fragment);
  }
  const lines: string[] = [];
  for (const table of TABLES) {
    lines.push(`*${table}`);
    for (const part of parts) {
      if (skipped.has(part)) continue;
      for (const chain of part[table].chains) lines.push(chainLine(chain));
    }
    if (table === "nat") { for (const chain of stale) lines.push(chainLine(chain)); }
    for (const part of parts) {
      if (table === "nat" && part === rules.tail) {
        for (const chain of stale) lines.push(`-X ${chain}`);
      }
      const own = skipped.has(part) ? new Set(part[table].chains) : null;
      for (const { chain, spec } of part[table].rules) {
        if (own === null || !own.has(chain)) lines.push(ruleLine("-A", chain, spec));
      }
    }
    lines.push("COMMIT");
  }
  lines.push("");
  return lines.join("\n");
}

/** The line that makes a chain, or empties it. */
export function chainLine(chain: string): string {
  return `:${chain} - [0:0]`;
}

/** A line that adds, inserts or deletes a rule. */
export function ruleLine(command: "-A" | "-I" | "-D", chain: string, spec: string): string {
  return spec === "" ? `${command} ${chain}` : `${command} ${chain} ${spec}`;
}
