/**
 * userspace mode beside the kernel: throughput of one and four TCP streams (iperf3), connections per
 * second and round-trip time, through the engine and through iptables DNAT with masquerading, over
 * the same veths in the same run, rounds interleaved.
 *
 * ```
 * client ── veth ── node (TUN ⇄ engine | iptables) ── veth ── server
 * ```
 *
 * @module
 */

import { UserspaceDataPlane } from "../src/dataplane/userspace/dataplane.ts";
import { connectToNode } from "../src/lab/link.ts";
import { createNamespace, forwardPackets } from "../src/lab/machine.ts";
import type { NetworkNamespace } from "../src/linux/namespace.ts";
import { writeSysctl } from "../src/linux/sysctl.ts";
import { type Plan, type PlanChange, type Route, serviceKey } from "../src/plan/plan.ts";
import { connectWorker, type Remote } from "../src/rpc/worker_rpc.ts";
import { readyBackend, serviceOf, servicePort } from "../test/plan/service_plan.ts";
import type { BenchOptions } from "./options.ts";
import { comparedRow, plainRow, type Row } from "./report.ts";
import type { TcpMethods } from "./tcp_worker.ts";

const NODE = "192.168.50.10";
const CLIENT = "192.168.50.100";
const SERVER = "10.244.1.7";
/** The same server behind two addresses: one is the engine's, the other iptables'. */
const VIP = { userspace: "10.96.0.1", kernel: "10.96.0.2" } as const;
const IPERF_PORT = 5201;
const ECHO_PORT = 7000;

type Path = keyof typeof VIP;

/** A plan of one Service with two ports, both to the server. */
function benchPlan(): { plan: Plan; change: PlanChange } {
  const route: Route = { action: "forward", to: "cluster", masquerade: true };
  const [iperf, echo] = [IPERF_PORT, ECHO_PORT].map((port) => {
    const backends = [readyBackend(SERVER, port, { local: true })];
    return servicePort({
      namespace: "bench",
      service: "datapath",
      portName: `p${port}`,
      cluster: backends,
      endpoints: backends,
      hasEndpoints: true,
      frontends: [{
        kind: "ClusterIP",
        address: VIP.userspace,
        port,
        routes: { pod: route, node: route, outside: route },
        sourceRanges: null,
      }],
    });
  });
  const service = serviceOf([iperf, echo], { localReadyEndpoints: 1 });
  const node = { name: "bench", addresses: [NODE], nodePortAddresses: [], podNetworks: [] };
  return {
    plan: { node, services: new Map([[serviceKey(service), service]]) },
    change: { node, updated: [service], removed: [] },
  };
}

/** The three machines, with everything that they hold on to. */
class Bed implements AsyncDisposable {
  readonly node = createNamespace();
  readonly client = createNamespace();
  readonly server = createNamespace();
  readonly #children: Deno.ChildProcess[] = [];
  readonly #workers: Worker[] = [];
  #dataPlane: UserspaceDataPlane | null = null;

  static async create(): Promise<Bed> {
    const bed = new Bed();
    try {
      bed.node.run(forwardPackets);
      // Else the client soon spends its time looking for a port that is not in TIME_WAIT.
      bed.client.run(() => writeSysctl("net.ipv4.tcp_max_tw_buckets", 64));
      const common = { node: bed.node, primary: [NODE], families: ["IPv4"] as const };
      connectToNode({
        ...common,
        machine: bed.client,
        linkName: "client",
        addresses: [CLIENT],
        nodeAddresses: [NODE],
      });
      connectToNode({
        ...common,
        machine: bed.server,
        linkName: "server",
        addresses: [SERVER],
        nodeAddresses: [],
      });
      const { plan, change } = benchPlan();
      bed.#dataPlane = await UserspaceDataPlane.start({ namespaceFd: bed.node.fd });
      await bed.#dataPlane.sync(plan, change);
      const server = await bed.tcp(bed.server);
      await server.serve(ECHO_PORT);
      bed.#children.push(
        bed.server.run(() =>
          new Deno.Command(...pinned("iperf3", ["-s", "-p", `${IPERF_PORT}`])).spawn()
        ),
      );
      await new Promise((resolve) => setTimeout(resolve, 300));
      return bed;
    } catch (error) {
      await bed[Symbol.asyncDispose]();
      throw error;
    }
  }

  /** A thread in the namespace. */
  async tcp(namespace: NetworkNamespace): Promise<Remote<TcpMethods>> {
    const worker = new Worker(new URL("./tcp_worker.ts", import.meta.url), { type: "module" });
    this.#workers.push(worker);
    const remote = connectWorker<TcpMethods>(worker);
    await remote.enter(namespace.fd);
    return remote;
  }

  /** Lays the kernel's rules, or takes all of them away, so that only one path has its costs. */
  async kernelRules(present: boolean): Promise<void> {
    const rules = present
      ? [
        ["-A", "PREROUTING", "-d", VIP.kernel, "-p", "tcp", "-j", "DNAT", "--to", SERVER],
        ["-A", "POSTROUTING", "-d", SERVER, "-j", "MASQUERADE"],
      ]
      : [["-F"], ["-X"]];
    for (const rule of rules) await this.#iptables(["-t", "nat", ...rule]);
  }

  async #iptables(args: string[]): Promise<void> {
    const { success, stderr } = await this.node.run(() =>
      new Deno.Command("iptables", { args, stdout: "null", stderr: "piped" }).spawn()
    ).output();
    if (!success) {
      throw new Error(`iptables ${args.join(" ")}: ${new TextDecoder().decode(stderr).trim()}`);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) {
      child.kill("SIGKILL");
      await child.status;
    }
    for (const worker of this.#workers) worker.terminate();
    await this.#dataPlane?.stop();
    for (const namespace of [this.client, this.server, this.node]) namespace.close();
  }
}

/** A command that shares the last CPU with the other end, so that the engine has one for itself. */
function pinned(program: string, args: string[]): [string, Deno.CommandOptions] {
  const cpus = navigator.hardwareConcurrency;
  return ["taskset", {
    args: ["-c", `${cpus - 1}`, program, ...args],
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  }];
}

/** Gbit/s received through iperf3's streams. */
async function throughput(bed: Bed, path: Path, streams: number, seconds: number): Promise<number> {
  const args = [
    "-c",
    VIP[path],
    "-p",
    `${IPERF_PORT}`,
    "-t",
    `${seconds}`,
    "-P",
    `${streams}`,
    "-J",
  ];
  const { success, stdout } = await bed.client.run(() =>
    new Deno.Command(...pinned("iperf3", args)).spawn()
  ).output();
  const result = JSON.parse(new TextDecoder().decode(stdout));
  if (!success || result.error) throw new Error(`iperf3 through ${path}: ${result.error}`);
  return result.end.sum_received.bits_per_second / 1e9;
}

/** Runs the benchmark. Needs root, iperf3, iptables and taskset. */
export async function run({ rounds, seconds }: BenchOptions): Promise<Row[]> {
  await using bed = await Bed.create();
  const client = await bed.tcp(bed.client);
  const cases: [string, string, (path: Path) => Promise<number>][] = [
    ["throughput/1 stream", "Gbit/s", (path) => throughput(bed, path, 1, seconds)],
    ["throughput/4 streams", "Gbit/s", (path) => throughput(bed, path, 4, seconds)],
    ["connections/sequential", "1/s", (path) => client.connections(VIP[path], ECHO_PORT, seconds)],
    ["round trip/1 byte", "µs", (path) => client.roundTrip(VIP[path], ECHO_PORT, seconds)],
  ];
  const rows: Row[] = [];
  for (const [name, unit, measure] of cases) {
    const figures: Record<Path, number[]> = { userspace: [], kernel: [] };
    for (let round = 0; round < rounds; round++) {
      figures.userspace.push(await measure("userspace"));
      await bed.kernelRules(true);
      figures.kernel.push(await measure("kernel"));
      await bed.kernelRules(false);
    }
    rows.push(
      comparedRow(`${name}/userspace`, unit, figures.userspace, "kernel DNAT", figures.kernel),
      plainRow(`${name}/kernel`, unit, figures.kernel),
    );
  }
  return rows;
}
