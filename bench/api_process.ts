/**
 * Processes that the API benchmark asks: they listen in a network namespace, take orders as lines of
 * JSON, and answer each with one.
 *
 * @module
 */

import type { NetworkNamespace } from "../src/linux/namespace.ts";
import { productionFlags } from "./production_flags.ts";
import { linesOf } from "./sync_lines.ts";

/** A process with its first line, which says where it listens. */
export class BenchProcess<Listening, Order, Done> {
  readonly #child: Deno.ChildProcess;
  readonly #lines: AsyncGenerator<string>;
  readonly #orders: WritableStreamDefaultWriter<Uint8Array>;

  private constructor(
    child: Deno.ChildProcess,
    lines: AsyncGenerator<string>,
    readonly listening: Listening,
  ) {
    this.#child = child;
    this.#lines = lines;
    this.#orders = child.stdin.getWriter();
  }

  /** Starts a program of this folder in a namespace, with the flags of V8 that the proxy has. */
  static async start<Listening, Order, Done>(
    namespace: NetworkNamespace,
    program: string,
    args: readonly string[],
    env: Record<string, string> = {},
  ): Promise<BenchProcess<Listening, Order, Done>> {
    const path = new URL(program, import.meta.url).pathname;
    const flags = productionFlags();
    const child = namespace.run(() =>
      new Deno.Command(Deno.execPath(), {
        args: ["run", ...flags, "--allow-all", path, ...args],
        env,
        stdin: "piped",
        stdout: "piped",
        stderr: "inherit",
      }).spawn()
    );
    const lines = linesOf(child.stdout);
    const { done, value } = await lines.next();
    if (done) throw new Error(`${program} ${args.join(" ")} did not start`);
    return new BenchProcess(child, lines, JSON.parse(value));
  }

  async ask(order: Order): Promise<Done> {
    await this.#orders.write(new TextEncoder().encode(JSON.stringify(order) + "\n"));
    const { done, value } = await this.#lines.next();
    if (done) throw new Error("the server ended");
    return JSON.parse(value);
  }

  async stop(): Promise<void> {
    await this.#orders.close();
    await this.#child.status;
  }
}
