/** Services and EndpointSlices as a cluster would report them. @module */

import {
  type EndpointSlice,
  type Protocol,
  type Service,
  SERVICE_NAME_LABEL,
} from "../../../src/cluster/objects.ts";
import type { Family } from "../../../src/net/address.ts";

/** The port on which the bed's servers answer. */
export const SERVER_PORT = 9376;

/** What a Service is to be besides one of type ClusterIP with one TCP port 80. */
export interface ServiceOptions {
  readonly protocol?: Protocol;
  readonly port?: number;
  readonly nodePort?: number;
}

/** A Service with one port. */
export function service(
  name: string,
  clusterIP: string,
  { protocol = "TCP", port = 80, nodePort }: ServiceOptions = {},
): Service {
  return {
    kind: "Service",
    metadata: { name, namespace: "test" },
    spec: {
      type: nodePort === undefined ? "ClusterIP" : "NodePort",
      clusterIP,
      clusterIPs: [clusterIP],
      ipFamilies: [clusterIP.includes(":") ? "IPv6" : "IPv4"],
      ports: [{ name: "main", protocol, port, ...(nodePort === undefined ? {} : { nodePort }) }],
    },
  };
}

/** The slice of a Service with these ready endpoints. */
export function slice(
  name: string,
  addresses: readonly string[],
  protocol: Protocol = "TCP",
  addressType: Family = "IPv4",
): EndpointSlice {
  return {
    kind: "EndpointSlice",
    metadata: { name: `${name}-1`, namespace: "test", labels: { [SERVICE_NAME_LABEL]: name } },
    addressType,
    endpoints: addresses.map((address) => ({
      addresses: [address],
      conditions: { ready: true, serving: true, terminating: false },
    })),
    ports: [{ name: "main", protocol, port: SERVER_PORT }],
  };
}
