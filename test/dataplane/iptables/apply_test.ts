import assert from "node:assert/strict";
import fc from "fast-check";
import { LatestLines, restoreError } from "../../../src/dataplane/iptables/apply.ts";

const TEXT = "*nat\n:A - [0:0]\n-A A --bogus\nCOMMIT\n";

/** What the implementations print, as seen from iptables 1.8.9. */
const REFUSALS: readonly [stderr: string, line: number | null, message: string][] = [
  [
    'iptables-nft-restore v1.8.9 (nf_tables): unknown option "--bogus"\nError occurred at line: 3\n' +
    "Try `iptables-nft-restore -h' or 'iptables-nft-restore --help' for more information.\n",
    3,
    'iptables-restore refused line 3 (-A A --bogus): unknown option "--bogus" (exit status 2)',
  ],
  [
    "Ignoring deprecated --wait-interval option.\niptables-restore: line 2 failed\n",
    2,
    "iptables-restore refused line 2 (:A - [0:0]): exit status 2",
  ],
  [
    "iptables-nft-restore v1.8.9 (nf_tables): \nline 3: CHAIN_DEL failed (Device or resource busy): chain A\n",
    3,
    "iptables-restore refused line 3 (-A A --bogus): " +
    "CHAIN_DEL failed (Device or resource busy): chain A (exit status 2)",
  ],
  [
    "iptables-nft-restore: line 3 failed: Index of insertion too big.\n",
    3,
    "iptables-restore refused line 3 (-A A --bogus): Index of insertion too big. (exit status 2)",
  ],
  [
    "Another app is currently holding the xtables lock. Perhaps you want to use the -w option?\n",
    null,
    "iptables-restore failed: Another app is currently holding the xtables lock. " +
    "Perhaps you want to use the -w option? (exit status 2)",
  ],
  ["", null, "iptables-restore failed: exit status 2"],
];

for (const [stderr, line, message] of REFUSALS) {
  Deno.test(`a refusal is one line: ${message}`, () => {
    const error = restoreError(
      "IPv4",
      "iptables-restore",
      { code: 2, signal: null, stdout: "", stderr },
      (line) => TEXT.split("\n")[line - 1],
    );
    assert.equal(error.line, line);
    assert.equal(error.message, message);
  });
}

Deno.test("of a text that goes by, the last lines are known by their numbers", () => {
  const line = fc.string({ unit: fc.constantFrom("a", "b"), maxLength: 5 });
  const pieces = fc.array(fc.array(line, { maxLength: 4 }), { maxLength: 12 });
  fc.assert(fc.property(pieces, fc.integer({ min: 1, max: 20 }), (written, latest) => {
    const texts = written.map((lines) => lines.map((text) => `${text}\n`).join(""));
    const remembered = new LatestLines(latest);
    assert.deepEqual([...remembered.through(texts)], texts);
    assert.ok(remembered.complete);
    const lines = written.flat();
    let behind = 0;
    for (let i = lines.length - 1; i >= 0 && behind <= latest; i--) {
      assert.equal(remembered.at(i + 1), lines[i]);
      behind += lines[i].length + 1;
    }
  }));
});
