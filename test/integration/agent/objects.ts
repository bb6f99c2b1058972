/** The objects that tests of the agent give to an API server, all of the namespace "default". */

import type { Server } from "../../../src/lab/topology.ts";
import type { Target } from "../../../src/lab/probe.ts";
import type { RawObject } from "../../cluster/kubernetes/api_state.ts";

/** Where every endpoint serves. */
const ENDPOINT_PORT = 8080;

/** What is said of an endpoint. */
export type Condition = "ready" | "terminating" | "unready";

export function service(name: string, clusterIP: string): RawObject {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name },
    spec: {
      type: "ClusterIP",
      clusterIP,
      clusterIPs: [clusterIP],
      ports: [{ name: "http", port: 80, targetPort: ENDPOINT_PORT, protocol: "TCP" }],
    },
  };
}

export function slice(name: string, endpoints: ReadonlyMap<string, Condition>): RawObject {
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name, labels: { "kubernetes.io/service-name": name } },
    addressType: "IPv4",
    endpoints: [...endpoints].map(([address, condition]) => ({
      addresses: [address],
      conditions: {
        ready: condition === "ready",
        serving: condition !== "unready",
        terminating: condition === "terminating",
      },
    })),
    ports: [{ name: "http", port: ENDPOINT_PORT, protocol: "TCP" }],
  };
}

export function target(address: string): Target {
  return { address, port: 80, protocol: "TCP" };
}

/** One machine that serves at all these addresses. */
export function server(name: string, addresses: readonly string[]): Server {
  return { name, hostname: name, addresses, ports: [{ protocol: "TCP", port: ENDPOINT_PORT }] };
}
