/**
 * Ours as a contender of the sync benchmark, in the network namespace of this process:
 * `sync_switchyard.ts nft|legacy|nftables`. Objects and requests come as lines of JSON, and each request is
 * answered by one.
 *
 * @module
 */

import { cpuUsage } from "node:process";
import { close, libc, O_RDONLY, open, read } from "../src/linux/libc.ts";
import { Planner } from "../src/plan/planner.ts";
import { NODE_ADDRESS, NODE_NAME, type ObjectChange, POD_NETWORK } from "./sync_cluster.ts";
import type { Reply, Request } from "./sync_contender.ts";
import { linesOf } from "./sync_lines.ts";
import { type Plane, startPlane } from "./sync_plane.ts";
import type { TablesName } from "./sync_tables.ts";

/** The planner and the data plane of one node, IPv4 only. */
class Proxy {
  readonly #planner: Planner;
  readonly #plane: Plane;
  #pending: ObjectChange[] = [];

  private constructor(plane: Plane) {
    this.#plane = plane;
    this.#planner = new Planner({
      nodeName: NODE_NAME,
      nodeAddresses: [NODE_ADDRESS],
      clusterCIDRs: [POD_NETWORK],
      detectLocalMode: "ClusterCIDR",
      masqueradeAll: false,
      nodePortAddresses: plane.nodePortAddresses,
      families: ["IPv4"],
      scheduler: "random",
    });
  }

  static async start(tables: TablesName): Promise<Proxy> {
    return new Proxy(await startPlane(tables));
  }

  stop(): Promise<void> {
    return this.#plane.stop();
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
    if (request === "floor") await this.#plane.restore(this.#plane.oneRule.undone);
    return { seconds, cpu: (user + system) / 1e6, lines, peak: peak() };
  }

  async #act(request: Request): Promise<number> {
    switch (request) {
      case "sync":
        return await this.#sync();
      case "render":
        return this.#plane.countLines(this.#plane.text(this.#planner.plan));
      case "rewrite":
        return await this.#restore(this.#plane.text(this.#planner.plan));
      case "floor":
        return await this.#restore(this.#plane.oneRule.text);
    }
  }

  async #restore(text: string): Promise<number> {
    await this.#plane.restore(text);
    return this.#plane.countLines(text);
  }

  async #sync(): Promise<number> {
    const change = this.#planner.update(this.#pending);
    this.#pending = [];
    return await this.#plane.sync(this.#planner.plan, change);
  }
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

async function main(tables: TablesName): Promise<void> {
  const proxy = await Proxy.start(tables);
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

if (import.meta.main) await main(Deno.args[0] as TablesName);
