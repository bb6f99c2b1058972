/** Nodes of their own for the modes of netfilter, each in a network namespace. */

import type { ClusterObject } from "../../src/cluster/objects.ts";
import type { DataPlane } from "../../src/dataplane/dataplane.ts";
import { ProgramRunner } from "../../src/dataplane/iptables/programs.ts";
import type { SyncOutcome } from "../../src/dataplane/upkeep.ts";
import type { EngineHandle } from "../../src/engine/handle.ts";
import { NetworkNamespace } from "../../src/linux/namespace.ts";
import { FAMILIES } from "../../src/net/address.ts";
import type { PlanChange } from "../../src/plan/plan.ts";
import type { Planner } from "../../src/plan/planner.ts";

/** A node, a planner for it, and what its data planes tell. */
export abstract class NetfilterBed<Plane extends DataPlane, Sync extends SyncOutcome>
  implements AsyncDisposable {
  readonly namespace = NetworkNamespace.create();
  readonly runner = new ProgramRunner(this.namespace);
  readonly learnt: PlanChange[] = [];
  syncs: readonly Sync[] = [];
  requested = 0;
  protected readonly planes: Plane[] = [];

  constructor(readonly planner: Planner) {}

  /** What data planes are started with, whatever the mode. */
  protected options() {
    const engine = {
      apply: (change: PlanChange) => {
        this.learnt.push(change);
        return Promise.resolve();
      },
    } as Partial<EngineHandle> as EngineHandle;
    return {
      engine,
      families: FAMILIES,
      namespaceFd: this.namespace.fd,
      requestSync: () => void this.requested++,
      synced: (syncs: readonly Sync[]) => void (this.syncs = syncs),
    };
  }

  async update(
    plane: Plane,
    changed: readonly ClusterObject[],
    action: "apply" | "delete" = "apply",
  ): Promise<number> {
    const change = this.planner.update(changed.map((object) => ({ action, object })));
    await plane.sync(this.planner.plan, change);
    return this.lines;
  }

  /** Has everything compared. */
  async compare(plane: Plane): Promise<void> {
    const { plan } = this.planner;
    await plane.sync(plan, { node: plan.node, updated: [], removed: [] });
  }

  /** How much the last sync sent. */
  get lines(): number {
    return this.syncs.reduce((sum, { lines }) => sum + lines, 0);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const plane of this.planes) await plane.stop();
    this.namespace.close();
  }
}

/** What a data plane tells from here on, a line each. */
export function toldBy(plane: DataPlane): string[] {
  const told: string[] = [];
  plane.observe!({
    attempted: ({ family, full, ok, refused }) => {
      told.push(
        [family, full ? "full" : "partial", ok ? "ok" : refused ? "refused" : ""].join(" "),
      );
    },
    conntrackReconciled: ({ family, deleted }) => told.push(`${family} ${deleted} forgotten`),
  });
  return told;
}
