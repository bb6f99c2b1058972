/** A node's rules, read from where they stand in a text. */

import fc from "fast-check";
import assert from "node:assert/strict";
import { canonicalRule } from "../../../src/dataplane/iptables/canonical.ts";
import { readRules } from "../../../src/dataplane/iptables/read.ts";
import { joinWords, parseSave } from "../../../src/dataplane/iptables/save_text.ts";

const CHAINS = ["KUBE-SERVICES", "KUBE-SVC-AAAAAAAAAAAAAAAA", "KUBE-NODEPORTS", "PREROUTING"];
const OWN = CHAINS.slice(0, 3);

/** Lines of a table; rules of several chains in any order, some with line ends in their comments. */
const line = fc.oneof(
  { weight: 6, arbitrary: fc.tuple(fc.constantFrom(...CHAINS), fc.nat({ max: 3 })) },
  { weight: 1, arbitrary: fc.constantFrom("", "# a comment") },
);

function written(lines: readonly (string | readonly [string, number])[]): string {
  const rules = lines.map((one) => {
    if (typeof one === "string") return one;
    const [chain, kind] = one;
    const comment = ["", '-m comment --comment "two words" ', '-m comment --comment "a\nb\n" ', ""];
    return `${kind === 3 ? "[1:60] " : ""}-A ${chain} ${comment[kind]}-j MARK --or-mark ${kind}`;
  });
  return ["*nat", ...CHAINS.map((chain) => `:${chain} - [0:0]`), ...rules, "COMMIT", ""].join("\n");
}

Deno.test("chains have the rules that stand in the text, in their order", () => {
  fc.assert(fc.property(fc.array(line, { maxLength: 12 }), (lines) => {
    const text = written(lines);
    const { own, others } = readRules(text, "IPv4").nat;
    const rules = parseSave(text)[0].rules;
    const keysOf = (chain: string) =>
      rules.filter((rule) => rule.chain === chain)
        .map(({ tokens }) => canonicalRule(tokens, "IPv4"));
    assert.deepEqual([...own.keys()], OWN);
    // Whichever is asked for first, and again.
    for (const chain of [...OWN, ...OWN.toReversed()]) {
      assert.deepEqual(own.get(chain)!.keys, keysOf(chain));
      const specs = rules.filter((rule) => rule.chain === chain).map(({ tokens }) =>
        tokens.some((word) => word.includes("\n")) ? null : joinWords(tokens)
      );
      assert.deepEqual(own.get(chain)!.specs, specs);
    }
    assert.deepEqual(others.get("PREROUTING")!.map(({ key }) => key), keysOf("PREROUTING"));
  }));
});
