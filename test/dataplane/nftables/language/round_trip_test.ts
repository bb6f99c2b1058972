import assert from "node:assert/strict";
import fc from "fast-check";
import type { Ruleset } from "../../../../src/dataplane/nftables/language/ast.ts";
import { NftTextError, parseRuleset } from "../../../../src/dataplane/nftables/language/parse.ts";
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

const cuts = fc.array(
  fc.record({
    at: fc.nat({ max: 5000 }),
    remove: fc.nat({ max: 3 }),
    insert: fc.constantFrom("", "", "{", "}", '"', "\n", ";", ",", ":", "@", "!", "-", "[", " . "),
  }),
  { minLength: 1, maxLength: 4 },
);

Deno.test("text that is damaged is read otherwise, or refused by its line", () => {
  fc.assert(
    fc.property(ruleset, cuts, (rules, cuts) => {
      let text = printRuleset(rules);
      for (const { at, remove, insert } of cuts) {
        const place = text.length === 0 ? 0 : at % text.length;
        text = text.slice(0, place) + insert + text.slice(place + remove);
      }
      try {
        printRuleset(parseRuleset(text));
      } catch (error) {
        assert(error instanceof NftTextError, `${error}\n${text}`);
        assert(error.line <= text.split("\n").length);
      }
    }),
    { numRuns: 500 },
  );
});
