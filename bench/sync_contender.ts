/**
 * A proxy that takes part in the sync benchmark: a process in a network namespace of its own that
 * reads objects and requests, and answers each request, as lines of JSON.
 *
 * @module
 */

import { NetworkNamespace } from "../src/linux/namespace.ts";
import type { ObjectChange } from "./sync_cluster.ts";
import { linesOf } from "./sync_lines.ts";

/**
 * What a contender may be asked for: `sync` makes the objects sent since the last one true on the
 * node. Only ours knows the others: `render` makes the restore text of everything, `rewrite` gives
 * that text to iptables-restore, `floor` adds a chain with one rule, which go again unmeasured.
 */
export type Request = "sync" | "render" | "rewrite" | "floor";

/** What a request took, as measured by the contender from objects in memory to rules in the kernel. */
export interface Reply {
  readonly seconds: number;
  /** Processor time of its own process in all threads, in seconds; programs that it ran are not in it. */
  readonly cpu: number;
  /** Lines of chains and rules sent to iptables-restore, or made by `render`. */
  readonly lines: number;
  /** Most memory that the process ever had (VmHWM), in bytes. */
  readonly peak: number;
}

/** A running contender. */
export class Contender implements AsyncDisposable {
  readonly #namespace: NetworkNamespace;
  readonly #child: Deno.ChildProcess;
  readonly #requests: WritableStreamDefaultWriter<Uint8Array>;
  readonly #replies: AsyncGenerator<string>;
  readonly #stderr: Promise<string>;

  private constructor(
    readonly name: string,
    namespace: NetworkNamespace,
    child: Deno.ChildProcess,
  ) {
    this.#namespace = namespace;
    this.#child = child;
    this.#requests = child.stdin.getWriter();
    this.#replies = linesOf(child.stdout);
    this.#stderr = new Response(child.stderr).text();
  }

  /** Starts a program in a new, empty namespace, or in that of another one with its rules. */
  static start(
    name: string,
    program: string,
    args: readonly string[],
    env: Readonly<Record<string, string>>,
    predecessor?: Contender,
  ): Contender {
    const namespace = predecessor === undefined
      ? NetworkNamespace.create()
      : NetworkNamespace.open(predecessor.#namespace.path);
    try {
      const child = namespace.run(() =>
        new Deno.Command(program, {
          args: [...args],
          env: { ...env },
          stdin: "piped",
          stdout: "piped",
          stderr: "piped",
        }).spawn()
      );
      return new Contender(name, namespace, child);
    } catch (error) {
      namespace.close();
      throw error;
    }
  }

  /** Tells it of objects, which it only notes. */
  async send(changes: Iterable<ObjectChange>): Promise<void> {
    let lines: string[] = [];
    for (const change of changes) {
      if (lines.push(JSON.stringify(change)) < 500) continue;
      await this.#write(lines);
      lines = [];
    }
    await this.#write(lines);
  }

  /** Asks and waits. Rejects with one line when it failed or ended. */
  async ask(action: Request): Promise<Reply> {
    await this.#write([JSON.stringify({ action })]);
    const { done, value } = await this.#replies.next();
    if (done) throw new Error(`${this.name} ended: ${await this.#lastWords()}`);
    const reply = JSON.parse(value);
    if (reply.error !== undefined) throw new Error(`${this.name}: ${reply.error}`);
    return reply;
  }

  async #write(lines: readonly string[]): Promise<void> {
    if (lines.length === 0) return;
    try {
      await this.#requests.write(new TextEncoder().encode(lines.join("\n") + "\n"));
    } catch (error) {
      if (!(error instanceof Deno.errors.BrokenPipe)) throw error;
      throw new Error(`${this.name} ended: ${await this.#lastWords()}`);
    }
  }

  async #lastWords(): Promise<string> {
    return (await this.#stderr).trim().split("\n").at(-1) || "it said nothing";
  }

  /** Ends it; its rules go with its namespace, unless another is in it. */
  async [Symbol.asyncDispose](): Promise<void> {
    // It ends by itself when there is nothing more to read.
    await this.#requests.close().catch(() => this.#child.kill("SIGKILL"));
    await this.#replies.return(undefined);
    await this.#child.status;
    await this.#stderr;
    this.#namespace.close();
  }
}
