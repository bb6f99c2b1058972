/** Containers of the image that run, whatever runs them. */

import type { NetworkNamespace } from "../../src/linux/namespace.ts";

/** How a container is to run. */
export interface ContainerOptions {
  readonly args: readonly string[];
  /** Of the host, in the container read-only: path there → path here. */
  readonly mounts: Readonly<Record<string, string>>;
  /** "NET_ADMIN"; null: a privileged container. */
  readonly capabilities: readonly string[] | null;
  readonly namespace: NetworkNamespace;
}

/** Starts a container. */
export type StartContainer = (options: ContainerOptions) => RunningContainer;

/** Longer than any container takes for anything, milliseconds. */
const PATIENCE_MS = 300_000;

/** A container that runs. */
export class RunningContainer {
  readonly #child: Deno.ChildProcess;
  readonly #pidOf: (child: number) => number;
  readonly #ended: Promise<
    { readonly code: number; readonly stdout: string; readonly stderr: string }
  >;
  #stdout = "";
  #stderr = "";

  private constructor(child: Deno.ChildProcess, pidOf: (child: number) => number) {
    this.#child = child;
    this.#pidOf = pidOf;
    this.#ended = this.#run();
  }

  /**
   * Runs the program that runs the container, until it ends.
   *
   * @param options.pidOf the process in the container, by that of the program.
   * @param options.patienceMs longer than it takes for anything, milliseconds.
   */
  static spawn(
    program: string,
    args: readonly string[],
    options: {
      readonly namespace?: NetworkNamespace;
      readonly pidOf: (child: number) => number;
      readonly patienceMs?: number;
    },
  ): RunningContainer {
    const { namespace, pidOf, patienceMs = PATIENCE_MS } = options;
    const command = new Deno.Command(program, {
      args: [...args],
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
      signal: AbortSignal.timeout(patienceMs),
    });
    const child = namespace === undefined ? command.spawn() : namespace.run(() => command.spawn());
    return new RunningContainer(child, pidOf);
  }

  /** All that it said, once it has ended. */
  get ended() {
    return this.#ended;
  }

  /** Resolves when standard output has something that matches; fails when it ends before. */
  async says(pattern: RegExp): Promise<void> {
    let over = false;
    this.#ended.finally(() => over = true);
    while (!pattern.test(this.#stdout)) {
      if (over) throw new Error(`it ended: ${this.#stdout}${this.#stderr}`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** The process in it, as this machine sees it. */
  get pid(): number {
    return this.#pidOf(this.#child.pid);
  }

  kill(): void {
    try {
      this.#child.kill("SIGKILL");
    } catch (error) {
      // It has ended already.
      if (!(error instanceof TypeError)) throw error;
    }
  }

  async #run() {
    const decoder = new TextDecoder();
    const [{ code }] = await Promise.all([
      this.#child.status,
      this.#child.stdout.pipeTo(
        new WritableStream({ write: (bytes) => void (this.#stdout += decoder.decode(bytes)) }),
      ),
      this.#child.stderr.pipeTo(
        new WritableStream({ write: (bytes) => void (this.#stderr += decoder.decode(bytes)) }),
      ),
    ]);
    return { code, stdout: this.#stdout, stderr: this.#stderr };
  }
}

/** A file of /proc, which Deno lets only those read who may do everything. */
export function readProc(path: string): string {
  const { stdout } = new Deno.Command("cat", { args: [`/proc/${path}`] }).outputSync();
  return new TextDecoder().decode(stdout);
}
