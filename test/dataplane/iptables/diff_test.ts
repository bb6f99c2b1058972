import assert from "node:assert/strict";
import fc from "fast-check";
import {
  type ChainRules,
  countLines,
  diffTable,
  editChain,
} from "../../../src/dataplane/iptables/diff.ts";
import { transactionText } from "../../../src/dataplane/iptables/transaction_text.ts";
import { restore, type Tables } from "./interpreter.ts";

function rules(...specs: (string | null)[]): ChainRules {
  return { keys: specs.map((spec) => spec ?? "unwritable"), specs };
}

function many(count: number, prefix = "r"): string[] {
  return Array.from({ length: count }, (_, i) => `-s 10.0.${i >> 8}.${i & 255} -j ${prefix}`);
}

Deno.test("a chain that is right needs no line", () => {
  assert.deepEqual(editChain("C", rules("a", "b", "a"), rules("a", "b", "a")), []);
  assert.equal(
    transactionText([diffTable("nat", new Map([["C", rules("a")]]), new Map([["C", rules("a")]]))]),
    null,
  );
});

Deno.test("one rule among 10,000 is inserted, deleted or replaced by itself", () => {
  const all = many(10_000);
  const without = all.toSpliced(5000, 1);
  assert.deepEqual(editChain("C", rules(...without), rules(...all)), [`-I C 5001 ${all[5000]}`]);
  assert.deepEqual(editChain("C", rules(...all), rules(...without)), [`-D C ${all[5000]}`]);
  assert.deepEqual(editChain("C", rules(...all), rules(...all.with(0, "new"))), [
    `-D C ${all[0]}`,
    "-I C new",
  ]);
  assert.deepEqual(editChain("C", rules(...all), rules(...all, "last")), ["-A C last"]);
  assert.deepEqual(editChain("C", rules("last", ...all), rules(...all, "last")), [
    "-D C last",
    "-A C last",
  ]);
});

Deno.test("a chain is filled anew when that is shorter, or the only safe way", () => {
  assert.equal(editChain("C", rules("a", "b", "c"), rules("d")), null);
  assert.equal(editChain("C", rules(...many(9), null), rules(...many(9))), null);
  // Which of two equal rules goes cannot be said by -D.
  assert.equal(editChain("C", rules("x", "a", "b", "x"), rules("x", "a", "b")), null);
});

Deno.test("chains are made, emptied and removed in one transaction without dangling jumps", () => {
  const current = new Map([
    ["KUBE-SERVICES", rules("-d 1.1.1.1 -j KUBE-SVC-A", "-d 2.2.2.2 -j KUBE-SVC-B")],
    ["KUBE-SVC-A", rules("-j KUBE-SEP-A")],
    ["KUBE-SEP-A", rules("-j DNAT --to-destination 10.0.0.1:80")],
    ["KUBE-SVC-B", rules("-j RETURN")],
  ]);
  const desired = new Map([
    ["KUBE-SERVICES", rules("-d 2.2.2.2 -j KUBE-SVC-B", "-d 3.3.3.3 -j KUBE-SVC-C")],
    ["KUBE-SVC-B", rules("-j RETURN")],
    ["KUBE-SVC-C", rules("-j RETURN")],
  ]);
  const diff = diffTable("nat", current, desired);
  assert.deepEqual(diff.created.map(({ chain }) => chain), ["KUBE-SVC-C"]);
  assert.deepEqual(diff.changed.map(({ chain }) => chain), ["KUBE-SERVICES"]);
  assert.deepEqual(diff.removed.map(({ chain }) => chain), ["KUBE-SVC-A", "KUBE-SEP-A"]);
  assert.equal(
    transactionText([diff]),
    `*nat
:KUBE-SVC-C - [0:0]
:KUBE-SVC-A - [0:0]
:KUBE-SEP-A - [0:0]
-A KUBE-SVC-C -j RETURN
-D KUBE-SERVICES -d 1.1.1.1 -j KUBE-SVC-A
-A KUBE-SERVICES -d 3.3.3.3 -j KUBE-SVC-C
-X KUBE-SVC-A
-X KUBE-SEP-A
COMMIT
`,
  );
});

Deno.test("a chain that rules of others lead to is emptied and stays", () => {
  const current = new Map([["KUBE-SVC-A", rules("-j RETURN")]]);
  const diff = diffTable("nat", current, new Map(), { referenced: new Set(["KUBE-SVC-A"]) });
  assert.equal(transactionText([diff]), "*nat\n:KUBE-SVC-A - [0:0]\nCOMMIT\n");
  const empty = new Map([["KUBE-SVC-A", rules()]]);
  const options = { referenced: new Set(["KUBE-SVC-A"]) };
  assert.equal(countLines(diffTable("nat", empty, new Map(), options)), 0);
});

Deno.test("the diff takes any state to any other and leaves foreign chains alone", () => {
  const names = ["A", "B", "C", "D", "E", "F"].map((letter) => `KUBE-SVC-${letter}`);
  const plain = fc.integer({ min: 0, max: 12 }).map((n) => `-s 10.0.0.${n} -j RETURN`);
  const chains = fc.uniqueArray(fc.constantFrom(...names)).chain((present) =>
    fc.tuple(...present.map((chain) => {
      // Jumps go to later chains only: the kernel refuses loops.
      const targets = present.filter((other) => other > chain).map((other) => `-j ${other}`);
      const spec = targets.length === 0 ? plain : fc.oneof(plain, fc.constantFrom(...targets));
      return fc.array(spec, { maxLength: 15 }).map((specs) => [chain, specs] as const);
    })).map((entries) => new Map(entries))
  );
  fc.assert(
    fc.property(chains, chains, fc.constantFrom(1, 2, 3, Infinity), (before, after, limit) => {
      const foreign: [string, string[]] = ["FOREIGN", ["-j RETURN", "-j RETURN"]];
      const state: Tables = new Map([
        [
          "nat",
          new Map([foreign, ...[...before].map(([c, s]): [string, string[]] => [c, [...s]])]),
        ],
      ]);
      const toRules = (map: ReadonlyMap<string, readonly string[]>) =>
        new Map([...map].map(([chain, specs]) => [chain, rules(...specs)]));
      const diff = diffTable("nat", toRules(before), toRules(after));
      const text = transactionText([diff], limit);
      if (text !== null) restore(state, text);
      else assert.equal(countLines(diff), 0);
      const result = state.get("nat")!;
      assert.deepEqual(result.get("FOREIGN"), foreign[1]);
      result.delete("FOREIGN");
      const sorted = (map: ReadonlyMap<string, readonly string[]>) =>
        [...map].map(([chain, specs]) => [chain, [...specs]]).sort();
      assert.deepEqual(sorted(result), sorted(after));
      const rewrite = [...after.values()].reduce((sum, specs) => sum + 1 + specs.length, 0);
      const gone = [...before.keys()].filter((chain) => !after.has(chain)).length;
      assert.ok(countLines(diff) <= rewrite + 2 * gone);
    }),
    { numRuns: 500 },
  );
});
