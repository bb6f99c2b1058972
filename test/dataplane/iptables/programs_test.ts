import assert from "node:assert/strict";
import fc from "fast-check";
import {
  atLeast,
  inParts,
  programName,
  ProgramRunner,
} from "../../../src/dataplane/iptables/programs.ts";
import { requires } from "../../requirements.ts";

Deno.test("programs are named by implementation, family and tool", () => {
  assert.equal(programName({ suffix: "" }, "IPv4", "-save"), "iptables-save");
  assert.equal(programName({ suffix: "-nft" }, "IPv6", "-restore"), "ip6tables-nft-restore");
  assert.equal(programName({ suffix: "-legacy" }, "IPv4", ""), "iptables-legacy");
});

Deno.test("versions are compared by their parts", () => {
  assert.ok(atLeast([1, 6, 2], [1, 6, 2]));
  assert.ok(atLeast([1, 10], [1, 6, 2]));
  assert.ok(atLeast([2], [1, 6, 2]));
  assert.ok(!atLeast([1, 6], [1, 6, 2]));
  assert.ok(!atLeast([1, 4, 21], [1, 6, 2]));
});

Deno.test("input is cut behind lines, and nothing of it is lost", () => {
  assert.deepEqual([...inParts("", 4)], []);
  assert.deepEqual([...inParts("a\nbc\ndefghi\nj", 4)], ["a\nbc\n", "defghi\n", "j"]);
  const text = fc.string({ unit: fc.constantFrom("a", "\n", "😀"), maxLength: 50 });
  fc.assert(fc.property(text, fc.integer({ min: 1, max: 20 }), (input, size) => {
    const parts = [...inParts(input, size)];
    assert.equal(parts.join(""), input);
    for (const part of parts.slice(0, -1)) assert.ok(part.endsWith("\n") && part.length >= size);
  }));
});

Deno.test("a program that is missing, hangs or does not read is told apart", async () => {
  const runner = new ProgramRunner();
  await assert.rejects(runner.run("switchyard-no-such-program", []), Deno.errors.NotFound);
  await assert.rejects(new ProgramRunner(null, 100).run("sleep", ["60"]), Deno.errors.TimedOut);
  const ignorant = await runner.run(
    "sh",
    ["-c", "echo out; echo err >&2; exit 3"],
    "x".repeat(1e6),
  );
  assert.deepEqual(ignorant, { code: 3, signal: null, stdout: "out\n", stderr: "err\n" });
});

Deno.test({
  ...requires("input and output of a program may be larger than a pipe holds", "cat"),
  async fn() {
    const text = "line\n".repeat(1_000_000);
    const { stdout } = await new ProgramRunner().run("cat", [], text);
    assert.equal(stdout, text);
  },
});

Deno.test({
  ...requires("output is told in pieces while the program runs", "sh", "yes"),
  async fn() {
    const pieces: string[] = [];
    const script = "printf 'gr\\303'; sleep 0.1; printf '\\274n'; echo no >&2";
    const run = new ProgramRunner().run("sh", ["-c", script], undefined, (piece) => {
      pieces.push(piece);
    });
    assert.deepEqual(await run, { code: 0, signal: null, stdout: "", stderr: "no\n" });
    assert.equal(pieces.join(""), "grün");
    // Who cannot use it does not wait for the end.
    const refused = new ProgramRunner().run("yes", [], undefined, () => {
      throw new RangeError("no more");
    });
    await assert.rejects(refused, /^RangeError: no more$/);
  },
});

Deno.test({
  ...requires("input is made piece by piece while the program reads", "cat"),
  async fn() {
    let made = 0;
    function* pieces(): Generator<string> {
      for (; made < 300; made++) {
        yield `${made} ${"x".repeat(100_000)}\n`;
        yield "";
      }
    }
    const { stdout } = await new ProgramRunner().run("cat", [], pieces());
    assert.deepEqual(
      stdout.trimEnd().split("\n").map((line) => Number(line.split(" ")[0])),
      Array.from({ length: 300 }, (_, i) => i),
    );
    // Nothing is made for a program that has ended.
    made = 0;
    const { code } = await new ProgramRunner().run("false", [], pieces());
    assert.equal(code, 1);
    assert.ok(made < 300, `${made} pieces`);
  },
});

Deno.test({
  ...requires("what making input throws is thrown, and the program ends", "cat"),
  async fn() {
    function* pieces(): Generator<string> {
      yield "begun\n";
      throw new RangeError("no more");
    }
    await assert.rejects(new ProgramRunner().run("cat", [], pieces()), /RangeError: no more/);
  },
});
