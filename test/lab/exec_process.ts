/**
 * `lab list`, or `lab exec` with these arguments, in a process of its own: it leaves this one's
 * namespace for good.
 *
 * @module
 */

import { labExec, labList } from "../../src/lab/exec.ts";

const [name, ...command] = Deno.args;
try {
  if (name === undefined) {
    Deno.stdout.writeSync(new TextEncoder().encode(labList().join("\n") + "\n"));
  } else {
    Deno.exitCode = await labExec(name, command);
  }
} catch (error) {
  Deno.stderr.writeSync(
    new TextEncoder().encode(`${error instanceof Error ? error.message : error}\n`),
  );
  Deno.exitCode = 1;
}
