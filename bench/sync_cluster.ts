/**
 * The cluster that the sync benchmark programs, and the changes that are made to it: ClusterIP
 * Services with one TCP port and ten endpoints each, in one EndpointSlice.
 *
 * @module
 */

import { type EndpointSlice, type Service, SERVICE_NAME_LABEL } from "../src/cluster/objects.ts";

/** Endpoints of each Service. */
export const ENDPOINTS = 10;
/** The network of all pods, of which no Service address is part. */
export const POD_NETWORK = "10.128.0.0/9";
export const NODE_NAME = "node1";
export const NODE_ADDRESS = "192.168.50.10";

/** What a contender is told about one object. */
export interface ObjectChange {
  readonly action: "apply" | "delete";
  readonly object: Service | EndpointSlice;
}

/** Host `index` of the network that begins at 10.`second`.0.0. */
function address(second: number, index: number): string {
  return `10.${second + (index >> 16)}.${index >> 8 & 255}.${index & 255}`;
}

function metadata(index: number) {
  return { name: `service-${String(index).padStart(5, "0")}`, namespace: "bench" };
}

function serviceOf(index: number): Service {
  const clusterIP = address(0, index + 1);
  return {
    kind: "Service",
    metadata: metadata(index),
    spec: {
      type: "ClusterIP",
      clusterIP,
      clusterIPs: [clusterIP],
      ipFamilies: ["IPv4"],
      ports: [{ name: "http", protocol: "TCP", port: 80, targetPort: 8080 }],
    },
  };
}

/** `generation` tells which pod is behind the Service's fourth endpoint. */
function sliceOf(index: number, generation = 0): EndpointSlice {
  const { name, namespace } = metadata(index);
  return {
    kind: "EndpointSlice",
    metadata: { name: `${name}-1`, namespace, labels: { [SERVICE_NAME_LABEL]: name } },
    addressType: "IPv4",
    ports: [{ name: "http", protocol: "TCP", port: 8080 }],
    endpoints: Array.from({ length: ENDPOINTS }, (_, i) => ({
      addresses: [
        i === 3 && generation > 0
          ? address(192, index * 64 + generation)
          : address(128, index * ENDPOINTS + i + 1),
      ],
      conditions: { ready: true, serving: true, terminating: false },
      nodeName: `node${1 + (index + i) % 100}`,
    })),
  };
}

/** The whole cluster. */
export function* cluster(services: number): Generator<ObjectChange> {
  for (let i = 0; i < services; i++) {
    yield { action: "apply", object: serviceOf(i) };
    yield { action: "apply", object: sliceOf(i) };
  }
}

/** One pod of one Service, another one in each round, gives way to a new one. */
export function endpointChange(services: number, round: number): ObjectChange[] {
  const generation = 1 + round % 63;
  return [{ action: "apply", object: sliceOf((round + 1) * 7919 % services, generation) }];
}

/** A Service that {@link cluster} does not have comes, or goes again. */
export function extraService(services: number, action: ObjectChange["action"]): ObjectChange[] {
  return [
    { action, object: serviceOf(services) },
    { action, object: sliceOf(services) },
  ];
}
