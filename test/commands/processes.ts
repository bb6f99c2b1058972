/** Programs that say on their first lines that they are ready, and then run until a signal. */

import assert from "node:assert/strict";

/** A program that runs. Its output is read line by line. */
export class Program {
  readonly #child: Deno.ChildProcess;
  readonly #stdout: ReadableStreamDefaultReader<string>;
  readonly #stderr: Promise<string>;
  #text = "";

  constructor(args: readonly string[], env: Record<string, string> = {}) {
    this.#child = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-check", "--allow-all", ...args],
      env: { NO_COLOR: "1", ...env },
      stdin: "null",
      stdout: "piped",
      stderr: "piped",
    }).spawn();
    this.#stdout = this.#child.stdout.pipeThrough(new TextDecoderStream()).getReader();
    this.#stderr = new Response(this.#child.stderr).text();
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
      const { done, value } = await this.#stdout.read();
      if (done) assert.fail(`it ended: ${await this.#stderr}`);
      this.#text += value;
    }
  }

  signal(signal: Deno.Signal): void {
    this.#child.kill(signal);
  }

  /** The exit status, and all that was said on standard error. */
  async end(): Promise<{ code: number; stderr: string }> {
    const { code } = await this.#child.status;
    await this.#stdout.cancel();
    return { code, stderr: await this.#stderr };
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
