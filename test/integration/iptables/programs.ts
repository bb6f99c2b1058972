/**
 * iptables programs with faults: scripts in a folder that is put in front of PATH, which do what a
 * file in that folder says and otherwise become the real program.
 *
 * @module
 */

import { until } from "../../until.ts";

/** What becomes of a program when it is run next. */
export type Fault =
  /** Stops before it has done anything. */
  | { readonly kind: "stop-before" }
  /** Stops when so many lines of its input have been carried out, as far as they are committed. */
  | { readonly kind: "stop-after-lines"; readonly lines: number }
  /** As with stop-after-lines, when so many transactions are done. */
  | { readonly kind: "stop-after-commits"; readonly commits: number }
  /** Stops when it has done everything, before it ends. */
  | { readonly kind: "stop-after" }
  /** Takes its input, and does nothing with it before it is told to proceed. */
  | { readonly kind: "held" }
  /** Fails without having done anything. */
  | { readonly kind: "fail"; readonly status: number; readonly stderr: string }
  /** Kills itself. */
  | { readonly kind: "killed"; readonly signal: "KILL" | "TERM" };

/** A program of iptables, without "-nft" or "-legacy"; it stands for that of ip6tables, too. */
export type Tool = "iptables" | "iptables-save" | "iptables-restore";

const TOOLS: readonly Tool[] = ["iptables", "iptables-save", "iptables-restore"];
const FAMILIES = ["iptables", "ip6tables"];
const SUFFIXES = ["-nft", "-legacy"];

/** What stops, stops for longer than any test. */
const STOP = "exec sleep 600";

/** A folder of programs. */
export class FaultyPrograms implements Disposable {
  readonly #folder = Deno.makeTempDirSync({ prefix: "switchyard-test-" });

  constructor() {
    for (const tool of TOOLS) {
      for (const name of namesOf(tool)) {
        const real = realPath(name);
        if (real === null) continue;
        Deno.writeTextFileSync(`${this.#folder}/${name}`, this.#script(tool, real), {
          mode: 0o755,
        });
      }
    }
  }

  /** PATH with these programs, and without any other iptables. */
  get path(): string {
    return `${this.#folder}:/usr/bin:/bin`;
  }

  /** Sets what a tool does from now on; null: what it is for. */
  set(tool: Tool, fault: Fault | null): void {
    const file = `${this.#folder}/${tool}.fault`;
    remove(`${this.#folder}/${tool}.reached`);
    if (fault === null) return remove(file);
    Deno.writeTextFileSync(`${file}.new`, script(fault, `${this.#folder}/${tool}`));
    Deno.renameSync(`${file}.new`, file);
  }

  /** Resolves when a tool has come to where its fault stops it. */
  async reached(tool: Tool): Promise<void> {
    await this.#appears(`${this.#folder}/${tool}.reached`);
  }

  /** Lets a tool that is held go on, and resolves when it has done its work. */
  async proceed(tool: Tool): Promise<void> {
    Deno.writeTextFileSync(`${this.#folder}/${tool}.proceed`, "");
    await this.#appears(`${this.#folder}/${tool}.done`);
  }

  /** Takes a tool away; the returned function puts it back. */
  uninstall(tool: Tool): () => void {
    const names = namesOf(tool).map((name) => `${this.#folder}/${name}`).filter(exists);
    for (const name of names) Deno.renameSync(name, `${name}.away`);
    return () => {
      for (const name of names) Deno.renameSync(`${name}.away`, name);
    };
  }

  /**
   * Ends what was stopped, and takes all faults away. A program that was waiting for the rest of its
   * input comes to the end of it, as when the one who wrote it was killed.
   */
  release(): void {
    for (const tool of TOOLS) this.set(tool, null);
    for (const { name } of Deno.readDirSync(this.#folder)) {
      if (!name.endsWith(".pid")) continue;
      Deno.removeSync(`${this.#folder}/${name}`);
      try {
        Deno.kill(Number(name.slice(0, -4)), "SIGKILL");
      } catch (error) {
        if (!(error instanceof Deno.errors.NotFound)) throw error;
      }
    }
  }

  [Symbol.dispose](): void {
    this.release();
    Deno.removeSync(this.#folder, { recursive: true });
  }

  async #appears(path: string): Promise<void> {
    await until(() => exists(path), path.slice(this.#folder.length + 1));
  }

  #script(tool: Tool, real: string): string {
    return [
      "#!/bin/sh",
      `real=${real}`,
      `if [ -e ${this.#folder}/${tool}.fault ]; then . ${this.#folder}/${tool}.fault; fi`,
      'exec "$real" "$@"',
      "",
    ].join("\n");
  }
}

/** Shell commands of a fault. `$real` and `"$@"` are the program and its arguments. */
function script(fault: Fault, tool: string): string {
  const reached = `${tool}.reached`;
  const stopped = `: > ${reached}; : > "${folderOf(reached)}/$$.pid"; ${STOP}`;
  // The part of the input, then silence: the program goes on waiting.
  const part = (head: string) =>
    `{ ${head}; : > ${reached}; sh -c ': > "${folderOf(reached)}/$$.pid"; ${STOP}'; } | ` +
    `"$real" "$@"; exit`;
  switch (fault.kind) {
    case "stop-before":
      return stopped;
    case "stop-after-lines":
      return part(`head -n ${fault.lines}`);
    case "stop-after-commits":
      return part(`awk '{ print } /^COMMIT/ && ++n == ${fault.commits} { exit }'`);
    case "stop-after":
      return `"$real" "$@"; ${stopped}`;
    case "held":
      return `cat > ${tool}.input; : > ${reached}; ` +
        `until [ -e ${tool}.proceed ]; do sleep 0.02; done; ` +
        `"$real" "$@" < ${tool}.input; status=$?; : > ${tool}.done; exit $status`;
    case "fail":
      return `cat > /dev/null; printf '%s\\n' '${fault.stderr}' >&2; exit ${fault.status}`;
    case "killed":
      return `kill -${fault.signal} $$; sleep 1`;
  }
}

function namesOf(tool: Tool): string[] {
  return FAMILIES.flatMap((family) =>
    SUFFIXES.map((suffix) => tool.replace("iptables", `${family}${suffix}`))
  );
}

function realPath(program: string): string | null {
  const folders = (Deno.env.get("PATH") ?? "").split(":");
  return folders.map((folder) => `${folder}/${program}`).find(exists) ?? null;
}

function folderOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}

function exists(path: string): boolean {
  try {
    Deno.lstatSync(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

function remove(path: string): void {
  if (exists(path)) Deno.removeSync(path);
}
