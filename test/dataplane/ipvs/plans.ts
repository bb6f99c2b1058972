/** Plans for tests of ipvs mode, made by the real planner. */

import type { ClusterObject } from "../../../src/cluster/objects.ts";
import { decodeObject } from "../../../src/cluster/schema/object.ts";
import { Planner } from "../../../src/plan/planner.ts";
import type { PlannerConfig } from "../../../src/plan/node.ts";
import { SCHEDULER_NAMES } from "../../../src/plan/scheduling.ts";

/** A planner for node1, at 192.168.50.10 and fd00:50::10, that has these objects. */
export function plannerOf(
  objects: readonly ClusterObject[],
  options: Partial<PlannerConfig> = {},
): Planner {
  const planner = new Planner({
    nodeName: "node1",
    nodeAddresses: ["192.168.50.10", "fd00:50::10"],
    clusterCIDRs: ["10.244.0.0/16", "fd00:244::/64"],
    detectLocalMode: "ClusterCIDR",
    masqueradeAll: false,
    nodePortAddresses: [],
    families: ["IPv4", "IPv6"],
    scheduler: "rr",
    selectableSchedulers: SCHEDULER_NAMES.filter((name) => name !== "random"),
    ...options,
  });
  planner.update(objects.map((object) => ({ action: "apply", object })));
  return planner;
}

/** An object as a manifest has it. */
function decoded(fields: Record<string, unknown>): ClusterObject {
  const result = decodeObject(fields);
  if (result.outcome !== "object") throw new Error(JSON.stringify(result));
  return result.object as ClusterObject;
}

/** A Service at a cluster IP; `spec` is what else it has. */
export function service(
  name: string,
  clusterIP: string,
  ports: readonly Record<string, unknown>[],
  { annotations, status, ...spec }: Record<string, unknown> = {},
): ClusterObject {
  return decoded({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, namespace: "ns", ...(annotations ? { annotations } : {}) },
    spec: { clusterIP, clusterIPs: [clusterIP], ports, ...spec },
    ...(status ? { status } : {}),
  });
}

/** An endpoint of a slice; on this node when its address ends in an odd number. */
export interface TestEndpoint {
  readonly address: string;
  readonly ready?: boolean;
  readonly serving?: boolean;
  readonly terminating?: boolean;
}

/** The slice of a Service, with an endpoint at each address. */
export function slice(
  name: string,
  ports: readonly Record<string, unknown>[],
  endpoints: readonly (string | TestEndpoint)[],
): ClusterObject {
  const described = endpoints.map((one) => typeof one === "string" ? { address: one } : one);
  const six = described.some(({ address }) => address.includes(":"));
  return decoded({
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: {
      name: `${name}-${six ? 6 : 4}`,
      namespace: "ns",
      labels: { "kubernetes.io/service-name": name },
    },
    addressType: six ? "IPv6" : "IPv4",
    ports,
    endpoints: described.map(({ address, ready = true, serving = true, terminating = false }) => ({
      addresses: [address],
      nodeName: /[13579bdf]$/.test(address) ? "node1" : "node2",
      conditions: { ready, serving, terminating },
    })),
  });
}
