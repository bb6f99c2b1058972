/** What the commands say of themselves. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { commandHelp, generalHelp, hasFlags } from "../../src/commands/help.ts";
import { SIMULATE_HELP } from "../../src/commands/simulate_flags.ts";
import { FLAGS, type FlagSpec } from "../../src/config/flag_table.ts";
import { parseFlags } from "../../src/config/flags.ts";
import { UsageError } from "../../src/config/usage.ts";

const CONFIG = fileURLToPath(new URL("../../deno.json", import.meta.url));

/** The commands that the general help lists. */
const COMMANDS = [...generalHelp().matchAll(/^ {2}(\w+) {2,}/gm)].map(([, name]) => name);

const WITH_FLAGS = COMMANDS.filter(hasFlags);

Deno.test("every command has its task, and its help begins with its usage", async () => {
  const { tasks } = JSON.parse(await Deno.readTextFile(CONFIG));
  for (const command of COMMANDS) {
    assert.match(tasks[command].command, new RegExp(`src/main\\.ts ${command}$`));
  }
  const others = COMMANDS.filter((command) => !hasFlags(command));
  assert.deepEqual(others, ["simulate", "version", "help"]);
  for (const command of WITH_FLAGS) {
    assert.match(commandHelp(command), new RegExp(`^Usage: ${command} `));
  }
});

for (const command of WITH_FLAGS) {
  Deno.test(`the help of ${command} lists the flags that it takes, and no others`, () => {
    const listed = [...commandHelp(command).matchAll(/^ {2}--?([a-z-]+)(?: |$)/gm)]
      .map(([, name]) => name);
    for (const [name, spec] of Object.entries(FLAGS) as [string, FlagSpec][]) {
      const parse = () => parseFlags([`--${name}=${spec.default ?? ""}`], command);
      if (listed.includes(name)) {
        // The value may be wrong, but the flag is known.
        try {
          parse();
        } catch (error) {
          assert.ok(error instanceof UsageError && !/^unknown flag/.test(error.message), name);
        }
      } else assert.throws(parse, /^UsageError: unknown flag/, name);
    }
    assert.deepEqual(new Set(listed).size, listed.length);
    for (const name of listed) assert.ok(Object.hasOwn(FLAGS, name), name);
  });
}

Deno.test("help fits a terminal of a hundred columns", () => {
  const lines = [generalHelp(), ...WITH_FLAGS.map(commandHelp), SIMULATE_HELP.join("\n")]
    .flatMap((help) => help.split("\n"));
  assert.deepEqual(lines.filter((line) => line.length > 100 || line !== line.trimEnd()), []);
});

Deno.test("the help of run says what it follows, and what it does in a pod", () => {
  const [usage] = commandHelp("run").split("\nFlags:");
  for (const word of ["--manifests", "--kubeconfig", "--master", "--config", "in a pod"]) {
    assert.ok(usage.includes(word), word);
  }
});

Deno.test("commands whose status 1 means something else say so", () => {
  for (const command of ["diff", "preview"] as const) {
    assert.match(commandHelp(command), /^Exit status: 0 no.*, 1 some.*, 2 .* cannot be told/m);
  }
});
