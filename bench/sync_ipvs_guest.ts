/**
 * One size of the sync benchmark in ipvs mode, inside the virtual machine: ours and the programs
 * that do the same, in turn, each in a network namespace of its own.
 * `?services=N&rounds=N` after the module's address says how much.
 *
 * @module
 */

import { ProgramRunner } from "../src/dataplane/iptables/programs.ts";
import { IpvsDataPlane } from "../src/dataplane/ipvs/dataplane.ts";
import type { IpvsSync } from "../src/dataplane/ipvs/family.ts";
import { DEFAULT_IPVS_OPTIONS } from "../src/dataplane/ipvs/options.ts";
import { render } from "../src/dataplane/ipvs/render.ts";
import { type IpvsTexts, ipvsTexts } from "../src/dataplane/ipvs/text.ts";
import type { EngineHandle } from "../src/engine/handle.ts";
import { NetworkNamespace } from "../src/linux/namespace.ts";
import { Rtnetlink } from "../src/netlink/route/rtnetlink.ts";
import type { Plan, PlanChange } from "../src/plan/plan.ts";
import { Planner } from "../src/plan/planner.ts";
import {
  cluster,
  endpointChange,
  extraService,
  NODE_ADDRESS,
  NODE_NAME,
  type ObjectChange,
  POD_NETWORK,
} from "./sync_cluster.ts";

/** What one thing took. */
export interface Cost {
  readonly ms: number;
  /** Processor time of this process and those that it waited for, in steps of 10 ms. */
  readonly cpuMs: number;
  /** Messages to the kernel and lines of rules; of programs, lines that they were given. */
  readonly messages: number;
}

/** What was measured, round by round. */
export interface IpvsSamples {
  readonly ours: {
    readonly full: readonly Cost[];
    readonly endpoint: readonly Cost[];
    readonly added: readonly Cost[];
    readonly deleted: readonly Cost[];
  };
  /** By program, and "endpoint": ipvsadm told of one changed endpoint. */
  readonly programs: Readonly<Record<string, readonly Cost[]>>;
}

/** Small changes in each round. */
const CHANGES = 10;
/** No first syncs by programs are begun once they have taken so long together. */
const BUDGET_MS = 240_000;

const options = new URL(import.meta.url).searchParams;
const SERVICES = Number(options.get("services") ?? 1000);
const ROUNDS = Number(options.get("rounds") ?? 1);

/** kube-proxy has no engine, so that ours is left out of the comparison. */
const NO_ENGINE = { apply: () => Promise.resolve() } as Partial<EngineHandle> as EngineHandle;

/** The cluster in memory, and what its changes mean. */
class Cluster {
  readonly #planner = new Planner({
    nodeName: NODE_NAME,
    nodeAddresses: [NODE_ADDRESS],
    clusterCIDRs: [POD_NETWORK],
    detectLocalMode: "ClusterCIDR",
    masqueradeAll: false,
    nodePortAddresses: [],
    families: ["IPv4"],
    scheduler: "rr",
  });
  readonly #whole: PlanChange;

  constructor() {
    this.#whole = this.#planner.update([...cluster(SERVICES)]);
  }

  get plan(): Plan {
    return this.#planner.plan;
  }

  /** Everything, as at the start. */
  get whole(): PlanChange {
    return { ...this.#whole, updated: [...this.plan.services.values()] };
  }

  change(changes: readonly ObjectChange[]): PlanChange {
    return this.#planner.update(changes);
  }

  get texts(): IpvsTexts {
    return ipvsTexts(render(this.plan, "IPv4", DEFAULT_IPVS_OPTIONS).state);
  }
}

/** Processor time in milliseconds: utime, stime, cutime and cstime of proc(5), in clock ticks. */
function processorTime(): number {
  const text = Deno.readTextFileSync("/proc/self/stat");
  const fields = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return fields.slice(11, 15).reduce((sum, field) => sum + Number(field), 0) * 10;
}

async function measure(fn: () => Promise<number>): Promise<Cost> {
  const cpu = processorTime();
  const start = performance.now();
  const messages = await fn();
  return { ms: performance.now() - start, cpuMs: processorTime() - cpu, messages };
}

/** A namespace with the node's address, without which IPVS takes no server. */
function createNode(): NetworkNamespace {
  const namespace = NetworkNamespace.create();
  using net = namespace.run(() => Rtnetlink.open());
  net.links.setUp("lo");
  net.addresses.add({ link: "lo", address: NODE_ADDRESS });
  return namespace;
}

async function oursRound(world: Cluster, round: number, ours: Growing["ours"]): Promise<void> {
  using namespace = createNode();
  const syncs: IpvsSync[] = [];
  const plane = await IpvsDataPlane.start({
    engine: NO_ENGINE,
    families: ["IPv4"],
    node: NODE_NAME,
    rendering: DEFAULT_IPVS_OPTIONS,
    excludeCIDRs: [],
    strictARP: false,
    timeouts: {},
    gracefulDeadlineMs: 0,
    namespaceFd: namespace.fd,
    backend: "legacy",
    watchPeriodMs: 0,
    confirmationMs: 0,
    synced: (done) => syncs.push(...done),
  });
  const sync = (change: PlanChange) =>
    measure(async () => {
      syncs.length = 0;
      await plane.sync(world.plan, change);
      return syncs.reduce((sum, { lines }) => sum + lines, 0);
    });
  try {
    ours.full.push(await sync(world.whole));
    for (let i = 0; i < CHANGES; i++) {
      const number = round * CHANGES + i;
      ours.endpoint.push(await sync(world.change(endpointChange(SERVICES, number))));
      ours.added.push(await sync(world.change(extraService(SERVICES, "apply"))));
      ours.deleted.push(await sync(world.change(extraService(SERVICES, "delete"))));
    }
  } finally {
    await plane.stop();
  }
}

async function programsRound({ texts }: Cluster, programs: Growing["programs"]): Promise<void> {
  using namespace = createNode();
  const runner = new ProgramRunner(namespace, 3_600_000);
  const run = async (program: string, args: readonly string[], input: string) => {
    const { code, stderr } = await runner.run(program, args, input);
    if (code !== 0) throw new Error(`${program}: ${stderr}`);
    return input.split("\n").length - 1;
  };
  const device = "link add kube-ipvs0 type dummy\n";
  const inputs = [
    ["ip", ["-batch", "-"], device + texts.addresses],
    ["ipset", ["restore"], texts.sets],
    ["ipvsadm", ["-R"], texts.servers],
    ["iptables-legacy-restore", ["--noflush"], texts.rules],
  ] as const;
  for (const [program, args, input] of inputs) {
    (programs[program] ??= []).push(await measure(() => run(program, args, input)));
  }
  const [server] = texts.servers.split("\n")[0].match(/-t \S+/)!;
  for (let i = 0; i < CHANGES; i++) {
    const [come, go] = [i, i + 1].map((host) => `10.192.255.${host + 1}:8080`);
    if (i === 0) await run("ipvsadm", ["-R"], `-a ${server} -r ${come} -m -w 1\n`);
    const change = `-a ${server} -r ${go} -m -w 1\n-e ${server} -r ${come} -m -w 0\n`;
    (programs.endpoint ??= []).push(await measure(() => run("ipvsadm", ["-R"], change)));
  }
}

interface Growing {
  readonly ours: { full: Cost[]; endpoint: Cost[]; added: Cost[]; deleted: Cost[] };
  readonly programs: Record<string, Cost[]>;
}

/** The kernel takes a namespace with many servers apart in the background, which is not to count. */
function untilQuiet(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 1000 + SERVICES / 2));
}

export const tests = {
  async sync(): Promise<IpvsSamples> {
    const world = new Cluster();
    const found: Growing = {
      ours: { full: [], endpoint: [], added: [], deleted: [] },
      programs: {},
    };
    let spent = 0;
    for (let round = 0; round < ROUNDS; round++) {
      await oursRound(world, round, found.ours);
      await untilQuiet();
      if (round > 0 && spent * (round + 1) / round > BUDGET_MS) continue;
      const start = performance.now();
      await programsRound(world, found.programs);
      spent += performance.now() - start;
      await untilQuiet();
    }
    return found;
  },
};
