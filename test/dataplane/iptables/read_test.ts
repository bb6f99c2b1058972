/** A node's rules, read from a text that comes in pieces. */

import fc from "fast-check";
import assert from "node:assert/strict";
import { canonicalRule } from "../../../src/dataplane/iptables/canonical.ts";
import { RulesReader } from "../../../src/dataplane/iptables/read.ts";
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
    const comment = ["", '-m comment --comment "żółw 😀" ', '-m comment --comment "a\nb\n" ', ""];
    return `${kind === 3 ? "[1:60] " : ""}-A ${chain} ${comment[kind]}-j MARK --or-mark ${kind}`;
  });
  return ["*nat", ...CHAINS.map((chain) => `:${chain} - [0:0]`), ...rules, "COMMIT", ""].join("\n");
}

/** The text cut at these places, given as parts of it. */
function cut(text: string, places: readonly number[]): string[] {
  const ends = places.map((place) => Math.floor(place * text.length)).sort((a, b) => a - b);
  return [...ends, text.length].map((end, i) => text.slice(ends[i - 1] ?? 0, end));
}

const places = fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 6 });

Deno.test("chains have the rules that stand in the text, in their order, however it comes", () => {
  fc.assert(fc.property(fc.array(line, { maxLength: 12 }), places, (lines, places) => {
    const text = written(lines);
    const reader = new RulesReader("IPv4");
    for (const piece of cut(text, places)) reader.push(piece);
    const { own, others } = reader.end().nat;
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

Deno.test("more rules than are kept together", () => {
  const rules = Array.from(
    { length: 40_000 },
    (_, i) => `-A KUBE-SERVICES -d 10.0.0.1/32 -m mark --mark ${i}`,
  );
  const long = `-A KUBE-NODEPORTS -m comment --comment "${"ż".repeat(1_200_000)}" -j RETURN`;
  const reader = new RulesReader("IPv4");
  for (
    const text of [
      "*nat\n:KUBE-SERVICES - [0:0]\n:KUBE-NODEPORTS - [0:0]\n",
      ...rules,
      long,
      "COMMIT",
    ]
  ) {
    reader.push(`${text}\n`);
  }
  const { own } = reader.end().nat;
  assert.deepEqual(
    own.get("KUBE-SERVICES")!.specs,
    rules.map((rule) => rule.slice("-A KUBE-SERVICES ".length)),
  );
  assert.deepEqual(own.get("KUBE-NODEPORTS")!.specs, [long.slice("-A KUBE-NODEPORTS ".length)]);
});
