/** The real program with given rights, run to its end. */

import { fileURLToPath } from "node:url";
import type { NetworkNamespace } from "../../src/linux/namespace.ts";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const CONFIG = fileURLToPath(new URL("../../deno.json", import.meta.url));

/** The manifests that come with the program. */
export const EXAMPLES = fileURLToPath(new URL("../../examples", import.meta.url));

/** Longer than any run takes, milliseconds. */
const PATIENCE_MS = 120_000;

/** What a run came to. */
export interface Run {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs the program with these permissions, in a network namespace if one is given. */
export async function runProgram(
  permissions: readonly string[],
  args: readonly string[],
  input = "",
  namespace: NetworkNamespace | null = null,
): Promise<Run> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-check", ...permissions, MAIN, ...args],
    env: { NO_COLOR: "1" },
    stdin: "piped",
    stdout: "piped",
    stderr: "piped",
    signal: AbortSignal.timeout(PATIENCE_MS),
  });
  const child = namespace === null ? command.spawn() : namespace.run(() => command.spawn());
  const feed = async () => {
    const writer = child.stdin.getWriter();
    try {
      await writer.write(new TextEncoder().encode(input));
      await writer.close();
    } catch (error) {
      // It ended without reading its input.
      if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
    }
  };
  const [{ code, stdout, stderr }] = await Promise.all([child.output(), feed()]);
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** The permissions that a task of deno.json gives. */
export async function taskPermissions(task: string): Promise<string[]> {
  const { tasks } = JSON.parse(await Deno.readTextFile(CONFIG));
  return tasks[task].command.split(" ").filter((word: string) => word.startsWith("--allow-"));
}
