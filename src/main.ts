/**
 * The command line's entry: finds the command and turns what it throws into an exit status.
 *
 * @module
 */

import { complainOf, printLines } from "./commands/io.ts";
import { nearestName, UsageError } from "./config/usage.ts";
import { VERSION } from "./config/version.ts";
import { OutputClosedError } from "./standard_streams.ts";

/** Of a program that SIGPIPE ends, as a shell has it: 128 and the signal's number. */
const ENDED_BY_SIGPIPE = 141;

/** Takes the arguments after its name; resolves with the exit status. */
type Command = (args: readonly string[]) => Promise<number>;

/** Loaded when they are asked for, so that `version` and `help` are quick. */
const COMMANDS: Readonly<Record<string, Command>> = {
  run: async (args) => (await import("./commands/run.ts")).run(args),
  lab: async (args) => (await import("./commands/lab.ts")).lab(args),
  render: async (args) => (await import("./commands/render.ts")).render(args),
  explain: async (args) => (await import("./commands/explain.ts")).explain(args),
  diff: async (args) => (await import("./commands/diff.ts")).diff(args),
  preview: async (args) => (await import("./commands/preview.ts")).preview(args),
  replay: async (args) => (await import("./commands/replay.ts")).replay(args),
  simulate: async (args) => (await import("./commands/simulate.ts")).simulate(args),
  cleanup: async (args) => (await import("./commands/cleanup.ts")).cleanup(args),
  version: (args) => {
    if (args.length > 0) {
      throw new UsageError(`unexpected argument ${JSON.stringify(args[0])}: version takes none`);
    }
    printLines(`switchyard ${VERSION}`);
    return Promise.resolve(0);
  },
  help,
};

async function help(args: readonly string[]): Promise<number> {
  const { commandHelp, generalHelp, hasFlags } = await import("./commands/help.ts");
  const [name] = args;
  // Its flags are its own.
  if (name === "simulate") return await COMMANDS.simulate(["--help"]);
  if (name !== undefined && hasFlags(name)) printLines(commandHelp(name));
  else if (name === undefined || Object.hasOwn(COMMANDS, name)) printLines(generalHelp());
  else throw unknownCommand(name);
  return 0;
}

/** kube-proxy has no commands, so arguments that begin with a flag are those of `run`. */
function resolve(args: readonly string[]): [Command, readonly string[]] {
  const [first, ...rest] = args;
  if (first === undefined || first === "-h" || first === "--help") return [help, []];
  if (first === "--version" || first === "--version=true") return [COMMANDS.version, []];
  if (first.startsWith("-")) return [COMMANDS.run, args];
  if (!Object.hasOwn(COMMANDS, first)) throw unknownCommand(first);
  return [COMMANDS[first], rest];
}

function unknownCommand(name: string): UsageError {
  const names = Object.keys(COMMANDS);
  const nearest = nearestName(name, names);
  const hint = nearest === null
    ? `expected one of ${names.join(", ")}`
    : `did you mean ${nearest}?`;
  return new UsageError(`unknown command ${JSON.stringify(name)}: ${hint}`);
}

/** Runs a command. The exit status is 0 when done, 1 when failed, 2 for bad usage or input. */
async function main(args: readonly string[]): Promise<number> {
  try {
    const [command, rest] = resolve(args);
    return await command(rest);
  } catch (error) {
    if (error instanceof OutputClosedError) return ENDED_BY_SIGPIPE;
    complainOf(error);
    return error instanceof UsageError ? 2 : 1;
  }
}

if (import.meta.main) Deno.exit(await main(Deno.args));
