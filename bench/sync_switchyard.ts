/**
 * iptables mode as a contender of the sync benchmark, in the network namespace of this process:
 * `sync_switchyard.ts nft|legacy`. Objects and requests come as lines of JSON, and each request is
 * answered by one.
 *
 * @module
 */

import { cpuUsage } from "node:process";
import { NodeRulesAccess } from "../src/dataplane/iptables/apply.ts";
import { IptablesDataPlane } from "../src/dataplane/iptables/dataplane.ts";
import type { FamilySync } from "../src/dataplane/iptables/family.ts";
import { DEFAULT_RULE_OPTIONS } from "../src/dataplane/iptables/options.ts";
import { type Backend, ProgramRunner } from "../src/dataplane/iptables/programs.ts";
import { render } from "../src/dataplane/iptables/render.ts";
import { restoreText } from "../src/dataplane/iptables/text.ts";
import type { EngineHandle } from "../src/engine/handle.ts";
import { close, libc, O_RDONLY, open, read } from "../src/linux/libc.ts";
import { Planner } from "../src/plan/planner.ts";
import { NODE_ADDRESS, NODE_NAME, type ObjectChange, POD_NETWORK } from "./sync_cluster.ts";
import type { Reply, Request } from "./sync_contender.ts";
import { linesOf } from "./sync_lines.ts";

/** kube-proxy has no engine, so that ours is left out of the comparison. */
const NO_ENGINE = { apply: () => Promise.resolve() } as Partial<EngineHandle> as EngineHandle;

/** Something new: nf_tables looks at the whole table for it, but not when it goes again at once. */
const ONE_RULE = "*nat\n:BENCH - [0:0]\n-A BENCH -j ACCEPT\nCOMMIT\n";
const ONE_RULE_UNDONE = "*nat\n-F BENCH\n-X BENCH\nCOMMIT\n";
/** Of 10,000 Services, nf_tables takes longer than the data plane would wait. */
const REWRITE_TIMEOUT_MS = 3_600_000;

/**
 * The planner and the data plane of one node, IPv4 only. As of kube-proxy, what it does once in a
 * while is left out: watching canaries, and comparing all rules once more after the start.
 */
class Proxy {
  readonly #planner = new Planner({
    nodeName: NODE_NAME,
    nodeAddresses: [NODE_ADDRESS],
    clusterCIDRs: [POD_NETWORK],
    detectLocalMode: "ClusterCIDR",
    masqueradeAll: false,
    nodePortAddresses: [],
    families: ["IPv4"],
    scheduler: "random",
  });
  readonly #dataPlane: IptablesDataPlane;
  readonly #syncs: FamilySync[];
  #pending: ObjectChange[] = [];

  private constructor(dataPlane: IptablesDataPlane, syncs: FamilySync[]) {
    this.#dataPlane = dataPlane;
    this.#syncs = syncs;
  }

  static async start(backend: Backend): Promise<Proxy> {
    const syncs: FamilySync[] = [];
    const dataPlane = await IptablesDataPlane.start({
      engine: NO_ENGINE,
      families: ["IPv4"],
      backend,
      canaryPeriodMs: 0,
      confirmationMs: 0,
      synced: (done) => syncs.push(...done),
    });
    return new Proxy(dataPlane, syncs);
  }

  stop(): Promise<void> {
    return this.#dataPlane.stop();
  }

  note(change: ObjectChange): void {
    this.#pending.push(change);
  }

  async answer(request: Request): Promise<Reply> {
    const start = performance.now();
    const before = cpuUsage();
    const lines = await this.#act(request);
    const { user, system } = cpuUsage(before);
    const seconds = (performance.now() - start) / 1000;
    if (request === "floor") await this.#restore(ONE_RULE_UNDONE);
    return { seconds, cpu: (user + system) / 1e6, lines, peak: peak() };
  }

  async #act(request: Request): Promise<number> {
    switch (request) {
      case "sync":
        return await this.#sync();
      case "render":
        return countLines(this.#text());
      case "rewrite":
        return await this.#restore(this.#text());
      case "floor":
        return await this.#restore(ONE_RULE);
    }
  }

  async #restore(text: string): Promise<number> {
    const runner = new ProgramRunner(null, REWRITE_TIMEOUT_MS);
    await new NodeRulesAccess(runner, this.#dataPlane.programs).restore("IPv4", text);
    return countLines(text);
  }

  async #sync(): Promise<number> {
    const change = this.#planner.update(this.#pending);
    this.#pending = [];
    this.#syncs.length = 0;
    await this.#dataPlane.sync(this.#planner.plan, change);
    return this.#syncs.reduce((sum, { lines }) => sum + lines, 0);
  }

  /** What kube-proxy would send for everything, made anew. */
  #text(): string {
    return restoreText(render(this.#planner.plan, "IPv4", DEFAULT_RULE_OPTIONS).rules);
  }
}

function countLines(text: string): number {
  return text.match(/^[-:]/gm)?.length ?? 0;
}

/** VmHWM of this process, in bytes. Deno's own file functions would ask for all permissions. */
function peak(): number {
  libc();
  const fd = open("/proc/self/status", O_RDONLY);
  try {
    const buffer = new Uint8Array(4096);
    const text = new TextDecoder().decode(buffer.subarray(0, read(fd, buffer, buffer.length)));
    return Number(/^VmHWM:\s+(\d+) kB$/m.exec(text)![1]) * 1024;
  } finally {
    close(fd);
  }
}

async function main(backend: Backend): Promise<void> {
  const proxy = await Proxy.start(backend);
  const encoder = new TextEncoder();
  for await (const line of linesOf(Deno.stdin.readable)) {
    const message = JSON.parse(line) as ObjectChange | { readonly action: Request };
    if ("object" in message) proxy.note(message);
    else {
      const reply = await proxy.answer(message.action);
      await Deno.stdout.write(encoder.encode(JSON.stringify(reply) + "\n"));
    }
  }
  await proxy.stop();
}

if (import.meta.main) await main(Deno.args[0] as Backend);
