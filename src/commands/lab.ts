/**
 * `lab`: the lab, and commands in the namespaces of the one that runs.
 *
 * @module
 */

import { type CommandLine, parseCommandLine } from "../config/config.ts";
import { configureLogging } from "../config/logging.ts";
import { nearestName, UsageError } from "../config/usage.ts";
import { tellAsked } from "./asked.ts";
import { printLines } from "./io.ts";

/** Resolves with the exit status: of the command, for `lab exec`. */
export async function lab(args: readonly string[]): Promise<number> {
  const line = parseCommandLine(args, "lab", Deno.hostname);
  if (tellAsked(line, "lab")) return 0;
  configureLogging(line.config.logging);
  const [subcommand] = line.positionals;
  switch (subcommand) {
    case undefined: {
      if (line.rest !== null) throw new UsageError('unexpected "--": expected lab exec NAME first');
      const { runLab } = await import("./run_lab.ts");
      return await runLab(line);
    }
    case "list": {
      expectArguments(line, 1);
      return await list(line);
    }
    case "exec":
      return await exec(line);
    default: {
      const nearest = nearestName(subcommand, ["exec", "list"]);
      const hint = nearest === null ? "expected exec or list" : `did you mean ${nearest}?`;
      throw new UsageError(`unknown argument ${JSON.stringify(subcommand)} of lab: ${hint}`);
    }
  }
}

async function list({ config }: CommandLine): Promise<number> {
  const { labNamespaces } = await import("../lab/exec.ts");
  const namespaces = labNamespaces();
  if (config.output === "json") {
    printLines(JSON.stringify(namespaces, null, 2));
  } else {
    const width = Math.max(...namespaces.map(({ name }) => name.length));
    printLines(
      ...namespaces.map(({ name, addresses }) => `${name.padEnd(width)}  ${addresses.join(" ")}`),
    );
  }
  return 0;
}

async function exec(line: CommandLine): Promise<number> {
  const name = line.positionals[1];
  const command = line.rest ?? [];
  if (name === undefined || command.length === 0) {
    throw new UsageError(
      "lab exec: expected lab exec NAME -- COMMAND..., as `lab list` names them",
    );
  }
  expectArguments(line, 2);
  const { labExec } = await import("../lab/exec.ts");
  return await labExec(name, command);
}

function expectArguments(line: CommandLine, count: number): void {
  const extra = line.positionals[count];
  if (extra === undefined) return;
  throw new UsageError(`unexpected argument ${JSON.stringify(extra)}: put commands after --`);
}
