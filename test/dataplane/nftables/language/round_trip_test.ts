import assert from "node:assert/strict";
import fc from "fast-check";
import type { Ruleset } from "../../../../src/dataplane/nftables/language/ast.ts";
import { parseRuleset } from "../../../../src/dataplane/nftables/language/parse.ts";
import { printRuleset } from "../../../../src/dataplane/nftables/language/print.ts";
import { ruleset } from "./arbitraries.ts";

/** Without the lines that rules were read from. */
function withoutLines({ tables }: Ruleset): Ruleset {
  return {
    tables: tables.map((table) => ({
      ...table,
      chains: table.chains.map((chain) => ({
        ...chain,
        rules: chain.rules.map((rule) => ({ ...rule, line: null })),
      })),
    })),
  };
}

Deno.test("what is written of nftables rules is read as the same rules", () => {
  fc.assert(
    fc.property(ruleset, (rules) => {
      const text = printRuleset(rules);
      assert.deepEqual(withoutLines(parseRuleset(text)), rules, text);
    }),
    { numRuns: 300 },
  );
});
