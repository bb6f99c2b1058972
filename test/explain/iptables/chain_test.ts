import assert from "node:assert/strict";
import fc from "fast-check";
import { parseSave } from "../../../src/dataplane/iptables/save_text.ts";
import type { Chain } from "../../../src/explain/iptables/chain.ts";
import type { Rule } from "../../../src/explain/iptables/rule.ts";
import { RuleSet } from "../../../src/explain/iptables/ruleset.ts";

function chainOf(rules: readonly string[]): Chain {
  const text = `*nat\n:A - [0:0]\n${rules.map((rule) => `-A A ${rule}\n`).join("")}COMMIT\n`;
  return new RuleSet(parseSave(text)).table("nat")!.chain("A");
}

const numbers = (rules: readonly Rule[]) => rules.map(({ number }) => number);

/** The numbers of the rules that packets to an address are asked about. */
function asked(rules: readonly string[], dest: string): number[] {
  return numbers(chainOf(rules).rulesFor(dest));
}

Deno.test("rules that demand another address are passed over, and no others", () => {
  const rules = [
    "-d 10.0.0.1/32 -p tcp -j RETURN",
    "-d 10.0.0.2/32 -j RETURN",
    "! -d 10.0.0.2/32 -j RETURN",
    "-d 10.0.0.0/8 -j RETURN",
    "-s 10.0.0.9/32 -j RETURN",
    "-d 10.0.0.1,10.0.0.2 -j RETURN",
    "-d 10.0.0.2/32 -p nonsense -j RETURN",
    "-m comment --comment x -m tcp -p tcp -d 10.0.0.1 --dport 80 -j RETURN",
    "-j RETURN",
  ];
  assert.deepEqual(asked(rules, "10.0.0.1"), [1, 3, 4, 5, 6, 7, 8, 9]);
  assert.deepEqual(asked(rules, "10.0.0.2"), [2, 3, 4, 5, 6, 7, 9]);
  assert.deepEqual(asked(rules, "10.0.0.3"), [3, 4, 5, 6, 7, 9]);
  assert.deepEqual(asked(rules.slice(2, 6), "10.0.0.3"), [1, 2, 3, 4]);
  const chain = chainOf(rules);
  assert.deepEqual(
    numbers(chain.rulesForAny(new Set(["10.0.0.3", "10.0.0.1"]))),
    asked(rules, "10.0.0.1"),
  );
  assert.deepEqual(numbers(chain.rulesForAny(new Set(["10.0.0.2", "10.0.0.1"]))), [
    1,
    2,
    3,
    4,
    5,
    6,
    7,
    8,
    9,
  ]);
  assert.deepEqual(
    numbers(chain.rulesForAny(new Set(["10.0.0.3", "10.0.0.4"]))),
    asked(rules, "10.0.0.3"),
  );
  assert.equal(chain.rulesFor("10.0.0.2")[0], chain.rulesForAny(new Set(["10.0.0.2"]))[0]);
});

Deno.test("the index leaves out exactly what the address rules out", () => {
  const octet = fc.integer({ min: 1, max: 4 });
  const rule = fc.record({
    octet,
    prefix: fc.constantFrom("", "/32", "/31", "/24"),
    not: fc.boolean(),
  });
  fc.assert(fc.property(fc.array(rule, { maxLength: 12 }), octet, (rules, dest) => {
    const texts = rules.map(({ octet, prefix, not }) =>
      `${not ? "! " : ""}-d 10.0.0.${octet}${prefix} -j RETURN`
    );
    const expected = rules.map((rule, i) => ({ ...rule, number: i + 1 }))
      .filter(({ octet, prefix, not }) =>
        not || prefix.length === 3 && prefix !== "/32" || octet === dest
      )
      .map(({ number }) => number);
    assert.deepEqual(asked(texts, `10.0.0.${dest}`), expected);
  }));
});

Deno.test("a chain that was not asked for long is understood again", () => {
  const names = Array.from({ length: 20_000 }, (_, i) => `C${i}`);
  const declared = names.map((name) => `:${name} - [0:0]\n`).join("");
  const rules = names.map((name, i) => `-A ${name} -d 10.0.0.${i % 250} -j RETURN\n`).join("");
  const table = new RuleSet(parseSave(`*nat\n${declared}${rules}COMMIT\n`)).table("nat")!;
  const first = table.chain("C7");
  assert.equal(table.chain("C7"), first);
  for (const name of names) table.chain(name);
  const again = table.chain("C7");
  assert.notEqual(again, first);
  const texts = (chain: typeof first) => chain.rulesFor("10.0.0.7").map(({ text }) => text);
  assert.deepEqual([texts(again), texts(first)], [["-A C7 -d 10.0.0.7 -j RETURN"], texts(again)]);
});
