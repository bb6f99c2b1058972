/**
 * The configuration that plan tests start from.
 *
 * @module
 */

import type { PlannerConfig } from "../../src/plan/node.ts";

/** A proxy on "lab-node", dual stack, that recognises pods by the cluster's networks. */
export function config(changes: Partial<PlannerConfig> = {}): PlannerConfig {
  return {
    nodeName: "lab-node",
    nodeAddresses: ["192.168.50.10", "fd00:50::10"],
    clusterCIDRs: ["10.244.0.0/16", "fd00:10:244::/48"],
    detectLocalMode: "ClusterCIDR",
    masqueradeAll: false,
    nodePortAddresses: [],
    families: ["IPv4", "IPv6"],
    scheduler: "rr",
    ...changes,
  };
}
