/**
 * Commands in the namespaces of the lab that runs: `lab exec NAME -- COMMAND…` and `lab list`.
 *
 * @module
 */

import { NetworkNamespace } from "../linux/namespace.ts";
import { type LabState, readState } from "./state.ts";
import { resolveName } from "./topology.ts";

/**
 * Runs a command in the namespace with this name (or unique beginning of one) with this process's
 * own input and output, and gives its exit status: 128 + n when signal n ended it. Moves the calling
 * process into that namespace for good. Throws when no lab runs, the name is unknown or ambiguous,
 * or the command cannot be started.
 */
export async function labExec(name: string, command: readonly string[]): Promise<number> {
  const lab = runningLab();
  const { fd } = lab.namespaces[resolveName(Object.keys(lab.namespaces), name)];
  const path = `/proc/${lab.pid}/fd/${fd}`;
  let argv = command;
  if (lab.userNamespace) {
    // A process with several threads cannot enter a user namespace itself (setns(2)).
    const user = `--user=/proc/${lab.pid}/ns/user`;
    argv = ["nsenter", "--preserve-credentials", user, `--net=${path}`, "--", ...command];
  } else {
    NetworkNamespace.open(path).enter();
  }
  return await spawn(argv);
}

/** A namespace of the lab that runs. */
export interface LabNamespace {
  readonly name: string;
  readonly addresses: readonly string[];
}

/** The namespaces of the lab that runs. Throws when none runs. */
export function labNamespaces(): LabNamespace[] {
  const { namespaces } = runningLab();
  return Object.entries(namespaces).map(([name, { addresses }]) => ({ name, addresses }));
}

function runningLab(): LabState {
  const lab = readState();
  if (lab === null) throw new Error("no lab is running; start one with `deno task lab`");
  return lab;
}

async function spawn([program, ...args]: readonly string[]): Promise<number> {
  // The terminal sends these to the command too; what to do about them is its choice.
  const ignore = () => {};
  for (const signal of ["SIGINT", "SIGQUIT"] as const) Deno.addSignalListener(signal, ignore);
  let child: Deno.ChildProcess;
  try {
    child = new Deno.Command(program, {
      args,
      stdin: "inherit",
      stdout: "inherit",
      stderr: "inherit",
    }).spawn();
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) throw new Error(`no program called ${program}`);
    throw error;
  }
  const terminate = () => child.kill("SIGTERM");
  Deno.addSignalListener("SIGTERM", terminate);
  try {
    return (await child.status).code;
  } finally {
    Deno.removeSignalListener("SIGTERM", terminate);
    for (const signal of ["SIGINT", "SIGQUIT"] as const) Deno.removeSignalListener(signal, ignore);
  }
}
