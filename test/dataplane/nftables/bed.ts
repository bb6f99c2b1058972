/** Nodes of their own for nftables mode, each in a network namespace. */

import assert from "node:assert/strict";
import type { ClusterObject } from "../../../src/cluster/objects.ts";
import type { NftablesAccess } from "../../../src/dataplane/nftables/access.ts";
import {
  NftablesDataPlane,
  type NftablesOptions,
} from "../../../src/dataplane/nftables/dataplane.ts";
import type { FamilySync } from "../../../src/dataplane/nftables/family.ts";
import { NetlinkAccess } from "../../../src/dataplane/nftables/kernel/netlink_access.ts";
import type { Table } from "../../../src/dataplane/nftables/language/ast.ts";
import { ProgramRunner } from "../../../src/dataplane/iptables/programs.ts";
import type { EngineHandle } from "../../../src/engine/handle.ts";
import { NetworkNamespace } from "../../../src/linux/namespace.ts";
import { FAMILIES, type Family } from "../../../src/net/address.ts";
import type { PlanChange } from "../../../src/plan/plan.ts";
import { requires } from "../../requirements.ts";
import fixture from "../iptables/fixtures/kube_proxy.json" with { type: "json" };
import { testPlanner } from "../iptables/plans.ts";
import { NftAccess } from "./nft_access.ts";
import { sortedTable } from "./tables.ts";

/** What the cluster of kube-proxy's fixture has, by name, for each family. */
export const objects = fixture.objects as unknown as Readonly<
  Record<Family, Readonly<Record<string, readonly ClusterObject[]>>>
>;

/** A node, and a planner for it. */
export class Bed implements AsyncDisposable {
  readonly planner = testPlanner({ nodePortAddresses: ["primary"] });
  readonly namespace = NetworkNamespace.create();
  readonly runner = new ProgramRunner(this.namespace);
  /** What looks at tables here. */
  readonly access = new NftAccess(this.runner);
  readonly learnt: PlanChange[] = [];
  syncs: readonly FamilySync[] = [];
  requested = 0;
  readonly planes: NftablesDataPlane[] = [];

  constructor(readonly by: "netlink" | "nft") {}

  /** What a data plane uses. */
  open(): NftablesAccess {
    return this.by === "nft"
      ? new NftAccess(this.runner)
      : this.namespace.run(() => NetlinkAccess.open());
  }

  async start(options: Partial<NftablesOptions> = {}): Promise<NftablesDataPlane> {
    const engine = {
      apply: (change: PlanChange) => {
        this.learnt.push(change);
        return Promise.resolve();
      },
    } as Partial<EngineHandle> as EngineHandle;
    const plane = await NftablesDataPlane.start({
      engine,
      families: FAMILIES,
      namespaceFd: this.namespace.fd,
      access: unheeding(this.open()),
      watchPeriodMs: 0,
      confirmationMs: 0,
      requestSync: () => this.requested++,
      synced: (syncs) => this.syncs = syncs,
      ...options,
    });
    this.planes.push(plane);
    return plane;
  }

  async update(
    plane: NftablesDataPlane,
    changed: readonly ClusterObject[],
    action: "apply" | "delete" = "apply",
  ): Promise<number> {
    const change = this.planner.update(changed.map((object) => ({ action, object })));
    await plane.sync(this.planner.plan, change);
    return this.lines;
  }

  /** Has everything compared. */
  async compare(plane: NftablesDataPlane): Promise<void> {
    const { plan } = this.planner;
    await plane.sync(plan, { node: plan.node, updated: [], removed: [] });
  }

  /** How much the last sync sent. */
  get lines(): number {
    return this.syncs.reduce((sum, { lines }) => sum + lines, 0);
  }

  /** Both tables. */
  async tables(): Promise<(Table | null)[]> {
    const tables = await Promise.all(FAMILIES.map((family) => this.access.read(family)));
    return tables.map((table) => table === null ? null : sortedTable(table));
  }

  async nft(text: string): Promise<void> {
    const { code, stderr } = await this.runner.run("nft", ["-f", "-"], `${text}\n`);
    assert.equal(code, 0, stderr);
  }

  async run(program: string, ...args: string[]): Promise<void> {
    const { code, stderr } = await this.runner.run(program, args);
    assert.equal(code, 0, stderr);
  }

  async listed(): Promise<string> {
    return (await this.runner.run("nft", ["list", "ruleset"])).stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const plane of this.planes) await plane.stop();
    this.namespace.close();
  }
}

/** The same, but told of no changes: they are found when they are looked for. */
function unheeding(access: NftablesAccess): NftablesAccess {
  return {
    apply: (transaction) => access.apply(transaction),
    read: (family) => access.read(family),
    readChain: (family, name) => access.readChain(family, name),
    watch: () => Promise.resolve(),
    close: () => access.close(),
  };
}

/** All of it, in both families. */
export const everything = [
  ...Object.values(objects.IPv4).flat(),
  ...Object.values(objects.IPv6).flat().map(renamed),
];

/** Its counterpart in the other family has the same name. */
export function renamed(object: ClusterObject): ClusterObject {
  const { metadata } = object;
  const labels = metadata.labels === undefined ? undefined : Object.fromEntries(
    Object.entries(metadata.labels).map(([key, value]) => [key, `${value}6`]),
  );
  const other = { ...metadata, name: `${metadata.name}6`, ...(labels ? { labels } : {}) };
  return { ...object, metadata: other } as ClusterObject;
}

type Way = Bed["by"];

/** Registers a test for each way of reading and changing tables. */
export function accessTest(
  name: string,
  fn: (bed: Bed) => Promise<void>,
  ways: readonly Way[] = ["netlink", "nft"],
): void {
  for (const by of ways) {
    Deno.test({
      ...requires(`nftables (${by}): ${name}`, "root", "netns", "nft", "ip", "bash"),
      async fn() {
        await using bed = new Bed(by);
        await fn(bed);
      },
    });
  }
}
