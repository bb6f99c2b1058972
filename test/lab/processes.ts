/**
 * Programs in processes of their own, with a state file of their own.
 *
 * @module
 */

import { STATE_VARIABLE } from "../../src/lab/state.ts";

const PERMISSIONS = ["read", "write", "net", "ffi", "env", "sys", "run"].map((name) =>
  `--allow-${name}`
);

/** The program itself, for {@link scriptCommand}. */
export const MAIN = "../../src/main.ts";

/** The command line that runs a script, given relative to this folder. */
export function scriptCommand(script: string, ...args: readonly string[]): string[] {
  const path = new URL(script, import.meta.url).pathname;
  return [Deno.execPath(), "run", "--no-check", ...PERMISSIONS, path, ...args];
}

/** Runs a command without privileges: as a user namespace's user without its capabilities. */
export const UNPRIVILEGED = ["unshare", "--user", "--map-user=1000", "--map-group=1000", "--"];

/** A lab that runs in another process, and the file by which it is found. */
export interface LabProcess {
  readonly child: Deno.ChildProcess;
  readonly pid: number;
  readonly stateFile: string;
  /** The next line of its standard output; null at the end. */
  nextLine(): Promise<string | null>;
}

/** Runs a command that is a lab, for the duration of a function; it is killed if it still runs then. */
export async function withProcess(
  [program, ...args]: readonly string[],
  fn: (lab: LabProcess) => Promise<void>,
): Promise<void> {
  const directory = Deno.makeTempDirSync({ prefix: "switchyard-lab-" });
  const stateFile = `${directory}/lab.json`;
  const child = new Deno.Command(program, {
    args,
    env: { [STATE_VARIABLE]: stateFile },
    stdin: "null",
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let ended = false;
  void child.status.then(() => ended = true);
  const lines = linesOf(child.stdout);
  const nextLine = async () => {
    const { value, done } = await lines.next();
    return done ? null : value;
  };
  try {
    await fn({ child, pid: child.pid, stateFile, nextLine });
  } finally {
    if (!ended) child.kill("SIGKILL");
    await child.status;
    await lines.return(undefined);
    Deno.removeSync(directory, { recursive: true });
  }
}

async function* linesOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<string, void> {
  const decoder = new TextDecoder();
  let text = "";
  for await (const chunk of stream) {
    const lines = (text + decoder.decode(chunk, { stream: true })).split("\n");
    text = lines.pop()!;
    yield* lines;
  }
}

/** How a program ended and what it wrote. */
export interface Finished {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Runs a command to its end, beside the lab of the state file. */
export async function runCommand(
  stateFile: string,
  [program, ...args]: readonly string[],
): Promise<Finished> {
  const { code, stdout, stderr } = await new Deno.Command(program, {
    args,
    env: { [STATE_VARIABLE]: stateFile },
    stdin: "null",
  }).output();
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}
