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
  const texts: string[] = [];
  for (const table of TABLES) {
    const gone = table === "nat" ? stale : [];
    const made: string[] = [];
    const added: string[] = [];
    for (const part of parts) {
      if (part === rules.tail) added.push(...gone.map((chain) => `-X ${chain}`));
      const { chains, rules: ofPart } = skipped.has(part)
        ? { chains: [], rules: part.shared[table] }
        : part[table];
      for (const chain of chains) made.push(chainLine(chain));
      for (const { chain, spec } of ofPart) added.push(ruleLine("-A", chain, spec));
    }
    texts.push([`*${table}`, ...made, ...gone.map(chainLine), ...added, "COMMIT", ""].join("\n"));
  }
  return texts.join("");
}

/** The line that makes a chain, or empties it. */
export function chainLine(chain: string): string {
  return `:${chain} - [0:0]`;
}

/** A line that adds, inserts or deletes a rule. */
export function ruleLine(command: "-A" | "-I" | "-D", chain: string, spec: string): string {
  return spec === "" ? `${command} ${chain}` : `${command} ${chain} ${spec}`;
}
