/** The command line of the benchmarks; what they measure is not asked for here. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";

const MAIN = fileURLToPath(new URL("../../bench/main.ts", import.meta.url));

async function bench(...args: string[]) {
  const { code, stdout, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", "--allow-all", MAIN, ...args],
    env: { NO_COLOR: "1" },
  }).output();
  const text = (bytes: Uint8Array) => new TextDecoder().decode(bytes);
  return { code, stdout: text(stdout), stderr: text(stderr) };
}

Deno.test("bench says what it takes, when asked and when it does not understand", async () => {
  const help = await bench("--help");
  assert.deepEqual([help.code, help.stderr], [0, ""]);
  assert.match(help.stdout, /^usage: bench cluster\|/);
  const bad: [args: string[], complaint: RegExp][] = [
    [[], /^usage: /],
    [["nothing"], /^usage: /],
    [["schedulers", "--rounds=x"], /^usage: /],
    [["schedulers", "--bogus"], /^bench: Unknown option '--bogus'[^\n]*\nusage: /],
  ];
  for (const [args, complaint] of bad) {
    const { code, stdout, stderr } = await bench(...args);
    assert.deepEqual([code, stdout], [2, ""], stderr);
    assert.match(stderr, complaint);
    assert.ok(stderr.endsWith(help.stdout));
  }
});
