/** One family of nftables mode on a node in memory. */

import assert from "node:assert/strict";
import type { ClusterObject } from "../../../src/cluster/objects.ts";
import { FamilyRules } from "../../../src/dataplane/nftables/family.ts";
import type { Table } from "../../../src/dataplane/nftables/language/ast.ts";
import { DEFAULT_NFTABLES_OPTIONS } from "../../../src/dataplane/nftables/options.ts";
import { render } from "../../../src/dataplane/nftables/render.ts";
import { tableOf } from "../../../src/dataplane/nftables/rules.ts";
import type { Plan } from "../../../src/plan/plan.ts";
import { testPlanner } from "../iptables/plans.ts";
import { FakeNode } from "./fake_node.ts";
import { sortedTable } from "./tables.ts";

/** kube-proxy's defaults. */
export const OPTIONS = DEFAULT_NFTABLES_OPTIONS;

/** A Service with an endpoint for each last number of an address. */
export function service(
  endpoints: readonly number[],
  spec: Record<string, unknown> = {},
  name = "web",
): ClusterObject[] {
  return [
    {
      kind: "Service",
      metadata: { name, namespace: "ns" },
      spec: {
        type: "ClusterIP",
        clusterIP: "172.30.0.1",
        ports: [{ name: "", protocol: "TCP", port: 80 }],
        ...spec,
      },
    },
    {
      kind: "EndpointSlice",
      metadata: {
        name,
        namespace: "ns",
        labels: { "kubernetes.io/service-name": name },
      },
      addressType: "IPv4",
      endpoints: endpoints.map((last) => ({ addresses: [`10.0.0.${last}`] })),
      ports: [{ name: "", protocol: "TCP", port: 8080 }],
    },
  ];
}

/** Of a Service whose clients stay with their endpoints for so many seconds. */
export const sticky = (seconds: number) => ({
  sessionAffinity: "ClientIP",
  sessionAffinityConfig: { clientIP: { timeoutSeconds: seconds } },
});

/** A node with one family's rules, and a planner. */
export class FamilyBed {
  readonly planner = testPlanner({ families: ["IPv4"], nodePortAddresses: ["primary"] });
  readonly node = new FakeNode();
  now = 0;
  readonly rules: FamilyRules;

  constructor(removesChains = true) {
    this.rules = new FamilyRules("IPv4", this.node, { removesChains, now: () => this.now });
  }

  get table(): Table {
    return this.node.tables.get("ip")!;
  }

  /** What was sent, and whether everything was compared. */
  async sync(objects: readonly ClusterObject[], action: "apply" | "delete" = "apply") {
    const change = this.planner.update(objects.map((object) => ({ action, object })));
    const { plan } = this.planner;
    return this.rules.doubtful || change.node !== null
      ? await this.rules.syncAll(plan, OPTIONS)
      : await this.rules.syncChange(plan, change, OPTIONS);
  }

  assertRight(): void {
    assert.deepEqual(sortedTable(this.table), desired(this.planner.plan));
  }
}

function desired(plan: Plan): Table {
  return sortedTable(tableOf(render(plan, "IPv4", OPTIONS).rules));
}
