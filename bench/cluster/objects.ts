/**
 * The cluster that the benchmark's API server has: Services with ten endpoints each, and some more
 * that a client can tell by their answers whether a change has reached the node.
 *
 * @module
 */

import type { RawObject } from "../../test/cluster/kubernetes/api_state.ts";

/** Endpoints of each Service. */
export const ENDPOINTS = 10;
/** Services whose only endpoint comes and goes while a client asks. */
export const PROBES = 5;
/** Where the probes' endpoints serve. */
export const SERVING = "10.244.1.1";
const PORT = 8080;

const address = (second: number, index: number) =>
  `10.${second + (index >> 16)}.${index >> 8 & 255}.${index & 255}`;

/** "service-00042" */
export function serviceName(index: number): string {
  return `service-${String(index).padStart(5, "0")}`;
}

/** The clients' address of a Service. */
export function clusterIP(index: number): string {
  return address(96, 0x100 + index);
}

/** A Service, also of those that probes ask. */
export function service(index: number): RawObject {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: serviceName(index) },
    spec: {
      clusterIP: clusterIP(index),
      ports: [{ name: "http", protocol: "TCP", port: 80, targetPort: PORT }],
    },
  };
}

/** The slice of a Service that is there only for its size; `generation` tells one pod from another. */
export function slice(index: number, generation = 0): RawObject {
  return sliceOf(
    index,
    Array.from(
      { length: ENDPOINTS },
      (_, i) =>
        i === 3 && generation > 0
          ? address(192, (index * 64 + generation) & 0x3fffff)
          : address(128, index * ENDPOINTS + i + 1),
    ),
  );
}

/** The slice of a Service that probes ask, with or without its endpoint. */
export function probeSlice(index: number, serving: boolean): RawObject {
  return sliceOf(index, serving ? [SERVING] : []);
}

function sliceOf(index: number, addresses: readonly string[]): RawObject {
  const name = serviceName(index);
  return {
    apiVersion: "discovery.k8s.io/v1",
    kind: "EndpointSlice",
    metadata: { name, labels: { "kubernetes.io/service-name": name } },
    addressType: "IPv4",
    ports: [{ name: "http", protocol: "TCP", port: PORT }],
    endpoints: addresses.map((one, i) => ({
      addresses: [one],
      conditions: { ready: true, serving: true, terminating: false },
      nodeName: `node-${(index + i) % 100}`,
    })),
  };
}
