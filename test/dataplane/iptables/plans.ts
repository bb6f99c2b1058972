/** Plans for tests of the data plane, made by the real planner. */

import type { ClusterObject } from "../../../src/cluster/objects.ts";
import type { Family } from "../../../src/net/address.ts";
import type { DetectLocalMode } from "../../../src/plan/node.ts";
import { Planner } from "../../../src/plan/planner.ts";

/** What of the planner's configuration tests differ in. */
export interface PlanOptions {
  readonly families?: readonly Family[];
  readonly masqueradeAll?: boolean;
  readonly detectLocalMode?: DetectLocalMode;
  readonly clusterCIDRs?: readonly string[];
  readonly nodePortAddresses?: readonly string[];
}

/** A planner for node1, at 192.168.50.10 and fd00:50::10. */
export function testPlanner(options: PlanOptions = {}): Planner {
  return new Planner({
    nodeName: "node1",
    nodeAddresses: ["192.168.50.10", "fd00:50::10"],
    clusterCIDRs: options.clusterCIDRs ?? ["10.180.0.0/16", "fd00:180::/64"],
    detectLocalMode: options.detectLocalMode ?? "ClusterCIDR",
    masqueradeAll: options.masqueradeAll ?? false,
    nodePortAddresses: options.nodePortAddresses ?? [],
    families: options.families ?? ["IPv4", "IPv6"],
    scheduler: "random",
  });
}

/** A planner that already has these objects. */
export function plannerOf(objects: readonly ClusterObject[], options: PlanOptions = {}): Planner {
  const planner = testPlanner(options);
  planner.update(objects.map((object) => ({ action: "apply", object })));
  return planner;
}
