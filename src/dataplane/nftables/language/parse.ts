/**
 * Text of `nft list ruleset`, `nft -a list table ...`, `nft -s list ...`, or a file for `nft -f`,
 * as rules.
 *
 * Statements that are not known are kept by their text, and so are flow tables and named counters,
 * quotas and the like. Text that cannot be nft's is an error that names the line.
 *
 * @module
 */

import type { Rule, Ruleset, TableFamily } from "./ast.ts";
import { RulesetBuilder } from "./builder.ts";
import { readRule, readTableBody, readTableName } from "./read_table.ts";
import { readCommand } from "./read_commands.ts";
import { Tokens } from "./tokens.ts";

export { NftTextError } from "./tokens.ts";

/** Reads all tables of a text. Throws NftTextError. */
export function parseRuleset(text: string): Ruleset {
  const tokens = new Tokens(text);
  const ruleset = new RulesetBuilder();
  for (tokens.skipLines(); tokens.kind !== "end"; tokens.skipLines()) {
    if (tokens.take("table")) readTable(tokens, ruleset);
    else readCommand(tokens, ruleset);
  }
  return ruleset.build();
}

/** Reads one rule, without the words in front that say where it belongs. Throws NftTextError. */
export function parseRule(text: string, family: TableFamily = "ip"): Rule {
  const tokens = new Tokens(text);
  const rule = readRule(tokens, { family, leadsToPair: () => false });
  if (tokens.kind !== "end") throw tokens.unexpected("the end of the rule");
  return rule;
}

function readTable(tokens: Tokens, ruleset: RulesetBuilder): void {
  const { family, name } = readTableName(tokens);
  readTableBody(tokens, ruleset.table(family, name));
}
