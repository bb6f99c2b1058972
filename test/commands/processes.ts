/** Programs that say on their first lines that they are ready, and then run until a signal. */

import assert from "node:assert/strict";
import type { NetworkNamespace } from "../../src/linux/namespace.ts";

/** Longer than any of the programs takes for anything, milliseconds. */
const PATIENCE_MS = 120_000;

/** A program that runs. Its output is read line by line. */
export class Program {
  readonly #child: Deno.ChildProcess;
  readonly #stdout: ReadableStreamDefaultReader<string>;
  #stderr = "";
  readonly #stderrEnd: Promise<void>;
  #text = "";

  /** @param namespace the network namespace that it is to be in; null: this process's. */
  constructor(
    args: readonly string[],
    env: Record<string, string> = {},
    namespace: NetworkNamespace | null = null,
  ) {
    const command = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-check", "--allow-all", ...args],
      env: { NO_COLOR: "1", ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    });
    this.#child = namespace === null ? command.spawn() : namespace.run(() => command.spawn());
    this.#stdout = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    this.#stderrEnd = this.#child.stderr.pipeThrough(new TextDecoderStream()).pipeTo(
      new WritableStream({
        write: (text) => {
          this.#stderr += text;
        },
      }),
    );
  }

  /** The next line of standard output; fails with standard error when there is none. */
  async line(): Promise<string> {
    for (;;) {
      const end = this.#text.indexOf("\n");
      if (end >= 0) {
        const line = this.#text.slice(0, end);
        this.#text = this.#text.slice(end + 1);
        return line;
      }
      const { done, value } = await this.#within(this.#stdout.read(), "say more");
      if (done) assert.fail(`it ended: ${this.#stderr}`);
      this.#text += value;
    }
  }

  /** What was said on standard error so far. */
  get stderr(): string {
    return this.#stderr;
  }

  get pid(): number {
    return this.#child.pid;
  }

  signal(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** The exit status, and all that was said on standard error. */
  async end(): Promise<{ code: number; stderr: string }> {
    const { code } = await this.#within(this.#child.status, "end");
    await this.#stdout.cancel();
    await this.#within(this.#stderrEnd, "close its standard error");
    return { code, stderr: this.#stderr };
  }

  async #within<T>(promise: Promise<T>, what: string): Promise<T> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => {
      late.reject(new Error(`it did not ${what} in time: ${this.#text}${this.#stderr}`));
    }, PATIENCE_MS);
    try {
      return await Promise.race([promise, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  }

  /** For the end of a test, however it went. */
  async kill(): Promise<void> {
    try {
      this.#child.kill("SIGKILL");
    } catch (error) {
      // It has ended already.
      if (!(error instanceof TypeError)) throw error;
    }
    await this.end();
  }
}
