/** Drives {@link ./agent_process.ts}. @module */

import type { ClusterObject } from "../../../src/cluster/objects.ts";
import type { NetworkNamespace } from "../../../src/linux/namespace.ts";
import type { Family } from "../../../src/net/address.ts";
import { dataIn } from "./families.ts";
import { lines, type Order, type ProcessOptions, type Report } from "./agent_process.ts";
import { PATIENCE_MS } from "../../until.ts";

const PROGRAM = new URL("agent_process.ts", import.meta.url).pathname;
const PERMISSIONS = ["read", "write", "ffi", "env", "sys", "run"].map((name) => `--allow-${name}`);

/** An agent in a process of its own. */
export class AgentProcess implements AsyncDisposable {
  readonly #child: Deno.ChildProcess;
  readonly #input: WritableStreamDefaultWriter<Uint8Array>;
  readonly #family: Family;
  readonly #reports: Report[] = [];
  #wake: () => void = () => {};
  /** Reports that {@link next} has given. */
  #seen = 0;
  #ended = false;
  #errors = "";

  private constructor(family: Family, child: Deno.ChildProcess) {
    this.#family = family;
    this.#child = child;
    this.#input = child.stdin.getWriter();
    (async () => {
      for await (const line of lines(child.stdout)) {
        this.#reports.push(JSON.parse(line));
        this.#wake();
      }
      this.#errors = await new Response(child.stderr).text();
      this.#ended = true;
      this.#wake();
    })();
  }

  /** Starts one in a namespace, with this PATH. Resolves when it can be told of the cluster. */
  static async start(
    namespace: NetworkNamespace,
    path: string,
    options: Partial<ProcessOptions> & Pick<ProcessOptions, "backend" | "family">,
  ): Promise<AgentProcess> {
    const complete: ProcessOptions = {
      fullSyncPeriodMs: 3_600_000,
      canaryPeriodMs: 0,
      retryMs: 300,
      confirmationMs: 0,
      minSyncMs: 0,
      ...options,
    };
    const child = namespace.run(() =>
      new Deno.Command(Deno.execPath(), {
        args: ["run", "--no-check", ...PERMISSIONS, PROGRAM, JSON.stringify(complete)],
        env: { PATH: path },
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      }).spawn()
    );
    const agent = new AgentProcess(complete.family, child);
    await agent.next((report) => "started" in report);
    return agent;
  }

  /** Tells of objects that are new or changed. */
  async apply(...objects: readonly ClusterObject[]): Promise<void> {
    await this.update(objects);
  }

  /** Tells, at once, of objects that are new or changed and of some that are gone. */
  async update(
    applied: readonly ClusterObject[],
    deleted: readonly ClusterObject[] = [],
  ): Promise<void> {
    await this.#tell({
      changes: [
        ...applied.map((object) => ({ action: "apply", object }) as const),
        ...deleted.map((object) => ({ action: "delete", object }) as const),
      ],
    });
  }

  /** Resolves when it has heard all that it was told. */
  async heard(): Promise<void> {
    await this.#tell({ echo: true });
    await this.next((report) => "echo" in report);
  }

  /** Asks for a sync though nothing has changed. */
  async sync(): Promise<void> {
    await this.#tell({ sync: true });
  }

  async #tell(order: Order): Promise<void> {
    const line = JSON.stringify(dataIn(this.#family, order));
    await this.#input.write(new TextEncoder().encode(`${line}\n`));
  }

  /** The next report, of those that were not looked at yet, for which something holds. */
  async next<R extends Report>(
    test: (report: Report) => report is R,
  ): Promise<R>;
  async next(test: (report: Report) => boolean): Promise<Report>;
  async next(test: (report: Report) => boolean): Promise<Report> {
    const deadline = Date.now() + PATIENCE_MS;
    while (true) {
      while (this.#seen < this.#reports.length) {
        const report = this.#reports[this.#seen++];
        if (test(report)) return report;
      }
      const left = deadline - Date.now();
      if (this.#ended || left <= 0) {
        const all = this.#reports.map((report) => JSON.stringify(report)).join("\n");
        const end = this.#ended ? `ended: ${this.#errors}` : "did not do it";
        throw new Error(`the agent ${end}; it said:\n${all}`);
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, left);
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  /** Resolves at the end of the next sync, with whether it succeeded. */
  async synced(): Promise<boolean> {
    return (await this.next((report) => "synced" in report)).synced;
  }

  /** The next message in its log that matches. */
  async logged(pattern: RegExp): Promise<string> {
    const { message } = await this.next((report): report is Report & { message: string } =>
      "message" in report && pattern.test(report.message)
    );
    return message;
  }

  /** All that it has said. */
  get reports(): readonly Report[] {
    return this.#reports;
  }

  /** All that it has logged. */
  get log(): string[] {
    return this.#reports.flatMap((report) => "message" in report ? [report.message] : []);
  }

  /** Ends it at once, as kill -9 does; what it has started goes on. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    await this.#child.status;
    this.#input.releaseLock();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#ended) return;
    try {
      this.#child.kill("SIGKILL");
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
    }
    await this.#child.status;
  }
}
