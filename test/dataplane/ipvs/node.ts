/** A node in ipvs mode, as a network namespace, for tests inside the virtual machine. */

import type { ClusterObject } from "../../../src/cluster/objects.ts";
import { IpvsDataPlane, type IpvsModeOptions } from "../../../src/dataplane/ipvs/dataplane.ts";
import type { IpvsSync } from "../../../src/dataplane/ipvs/family.ts";
import { DEFAULT_IPVS_OPTIONS } from "../../../src/dataplane/ipvs/options.ts";
import { LocalEngine } from "../../../src/engine/local.ts";
import { NetworkNamespace } from "../../../src/linux/namespace.ts";
import { Ipvs } from "../../../src/netlink/generic/ipvs.ts";
import { Ipset } from "../../../src/netlink/netfilter/ipset.ts";
import { Rtnetlink } from "../../../src/netlink/route/rtnetlink.ts";
import type { Plan, PlanChange } from "../../../src/plan/plan.ts";
import type { Planner } from "../../../src/plan/planner.ts";

/** What a test may want of the data plane. */
export type ModeOptions = Partial<Omit<IpvsModeOptions, "engine" | "namespaceFd">>;

/** The namespace, with what looks into it. */
export class TestNode implements Disposable {
  readonly namespace = NetworkNamespace.create();
  readonly net: Rtnetlink;
  readonly ipvs: Ipvs;
  readonly ipset: Ipset;

  /** A namespace with these addresses on its loopback link, without which IPVS takes no server. */
  constructor(addresses: readonly string[] = ["192.168.50.10", "fd00:50::10"]) {
    this.net = this.namespace.run(() => Rtnetlink.open());
    this.ipvs = this.namespace.run(() => Ipvs.open());
    this.ipset = this.namespace.run(() => Ipset.open());
    this.net.links.setUp("lo");
    for (const address of addresses) this.net.addresses.add({ link: "lo", address });
  }

  /** Starts ipvs mode here, as the agent does. */
  async start(options: ModeOptions = {}): Promise<TestMode> {
    const syncs: IpvsSync[] = [];
    const plane = await IpvsDataPlane.start({
      engine: LocalEngine.create(),
      families: ["IPv4", "IPv6"],
      // The machine's kernel has no tables of nf_tables.
      backend: "legacy",
      node: "node1",
      rendering: DEFAULT_IPVS_OPTIONS,
      excludeCIDRs: [],
      strictARP: false,
      timeouts: {},
      gracefulDeadlineMs: 0,
      watchPeriodMs: 0,
      confirmationMs: 0,
      settlePeriodMs: 50,
      synced: (done) => syncs.push(...done),
      ...options,
      namespaceFd: this.namespace.fd,
    });
    return { plane, syncs };
  }

  /** The output of a program that runs here. */
  async output(program: string, ...args: readonly string[]): Promise<string> {
    const command = new Deno.Command(program, { args: [...args], stdout: "piped" });
    const { stdout } = await this.namespace.run(() => command.spawn()).output();
    return new TextDecoder().decode(stdout);
  }

  [Symbol.dispose](): void {
    for (const socket of [this.net, this.ipvs, this.ipset]) socket.close();
    this.namespace.close();
  }
}

/** A running data plane with what its syncs did. */
export interface TestMode {
  readonly plane: IpvsDataPlane;
  readonly syncs: IpvsSync[];
}

/** The first change of a plan. */
export function everything(plan: Plan): PlanChange {
  return { node: plan.node, updated: [...plan.services.values()], removed: [] };
}

/** Applies or deletes objects and has the data plane follow. */
export async function change(
  { plane }: TestMode,
  planner: Planner,
  action: "apply" | "delete",
  ...objects: readonly ClusterObject[]
): Promise<void> {
  const change = planner.update(objects.map((object) => ({ action, object })));
  await plane.sync(planner.plan, change);
}
