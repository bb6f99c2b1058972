/**
 * The machine of the sync benchmark: which contenders there are, and those that run.
 *
 * @module
 */

import { plainRow, type Row } from "./report.ts";
import { NODE_ADDRESS, NODE_NAME, POD_NETWORK } from "./sync_cluster.ts";
import { Contender } from "./sync_contender.ts";
import type { Proxy } from "./sync_figures.ts";
import type { Tables } from "./sync_tables.ts";

/** Starts contenders, and notes how busy the machine is with other things. */
export class Bed {
  readonly #work: number[] = [];
  readonly #load: number[] = [];

  constructor(
    readonly tables: Tables,
    /** Null when it cannot be had. */
    readonly kubeProxy: string | null,
    readonly env: Readonly<Record<string, string>>,
  ) {}

  /** In turn from round to round, so that none is always the first. */
  proxies(round: number): Proxy[] {
    if (this.kubeProxy === null) return ["switchyard"];
    return round % 2 === 0 ? ["switchyard", "kube-proxy"] : ["kube-proxy", "switchyard"];
  }

  /** Whether kube-proxy's first sync of so many Services ends in reasonable time. */
  canSyncFirst(size: number): boolean {
    return size <= this.tables.firstSyncLimit;
  }

  /** Whether all rules of so many Services can be rewritten in reasonable time. */
  canRewrite(size: number): boolean {
    return size <= this.tables.rewriteLimit;
  }

  /** With a predecessor, kube-proxy finds the rules of its first sync in place. */
  start(proxy: Proxy, predecessor?: Contender): Contender {
    if (proxy === "switchyard") {
      const script = new URL("sync_switchyard.ts", import.meta.url).pathname;
      const permissions = ["read", "write=/proc/sys/net", "ffi", "env", "sys", "run"];
      return Contender.start(proxy, Deno.execPath(), [
        "run",
        ...permissions.map((name) => `--allow-${name}`),
        script,
        this.tables.name,
      ], this.env);
    }
    return Contender.start(
      proxy,
      this.kubeProxy!,
      [
        ...this.tables.flags,
        `-cluster-cidr=${POD_NETWORK}`,
        `-node-name=${NODE_NAME}`,
        `-node-ip=${NODE_ADDRESS}`,
        `-prepared=${predecessor !== undefined}`,
      ],
      this.env,
      predecessor,
    );
  }

  /** Times work that is always the same. */
  probe(): void {
    const start = performance.now();
    let x = 1;
    for (let i = 0; i < 2e7; i++) x = Math.imul(x, 1664525) + 1013904223 | 0;
    if (x === 0.5) throw new Error("unreachable: x is an integer");
    this.#work.push(performance.now() - start);
    this.#load.push(Deno.loadavg()[0]);
  }

  noise(): Row[] {
    return [
      plainRow("machine/fixed work", "ms", this.#work),
      plainRow("machine/load average", "1", this.#load),
    ];
  }
}

/** The contenders that run. */
export class Field implements AsyncDisposable {
  readonly #running = new Map<Proxy, Contender>();

  constructor(readonly bed: Bed) {}

  get(proxy: Proxy): Contender {
    const contender = this.#running.get(proxy);
    if (contender === undefined) throw new Error(`${proxy} does not run`);
    return contender;
  }

  /** Ends one, with its rules, and starts it anew. */
  async restart(proxy: Proxy, predecessor?: Contender): Promise<Contender> {
    const former = this.#running.get(proxy);
    this.#running.delete(proxy);
    await former?.[Symbol.asyncDispose]();
    const contender = this.bed.start(proxy, predecessor);
    this.#running.set(proxy, contender);
    return contender;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const contender of this.#running.values()) await contender[Symbol.asyncDispose]();
  }
}
