/** Short ways to write the objects of the tests in this folder. */

import { parseNetwork } from "../../src/net/address.ts";
import type { EndpointSlice, Node, Pod, Service } from "../../src/cluster/objects.ts";
import type { ControlPlaneOptions } from "../../src/cluster/control/control_plane.ts";
import type { Located } from "../../src/cluster/control/located.ts";
import type { Workload } from "../../src/cluster/schema/workload.ts";
import { decodeObject, type ManifestObject } from "../../src/cluster/schema/object.ts";

export function network(text: string) {
  const parsed = parseNetwork(text);
  if (parsed === null) throw new TypeError(text);
  return parsed;
}

export const OPTIONS: ControlPlaneOptions = {
  serviceNetworks: [network("10.96.0.0/12"), network("fd00:10:96::/112")],
  podNetworks: [network("10.244.0.0/16"), network("fd00:10:244::/64")],
  nodeName: "n1",
};

export function decoded<T extends ManifestObject>(input: unknown): T {
  const result = decodeObject(input);
  if (result.outcome !== "object") throw new TypeError(JSON.stringify(result));
  return result.object as T;
}

export function service(name: string, spec: Record<string, unknown> = {}): Service {
  return decoded({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name },
    spec: { ports: [{ port: 80 }], ...spec },
  });
}

export function pod(
  name: string,
  labels: Record<string, string>,
  spec: Record<string, unknown> = {},
  status?: Record<string, unknown>,
): Pod {
  return decoded({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, labels },
    spec: { containers: [], ...spec },
    status,
  });
}

export function workload(
  kind: Workload["kind"],
  name: string,
  replicas: number,
  more: Record<string, unknown> = {},
): Workload {
  return decoded({
    apiVersion: "apps/v1",
    kind,
    metadata: { name },
    spec: {
      replicas,
      template: {
        metadata: { labels: { app: name } },
        spec: { containers: [{ name: "c", ports: [{ name: "http", containerPort: 8080 }] }] },
      },
      ...more,
    },
  });
}

export function node(name: string, zone?: string, podCIDRs?: string[]): Node {
  return decoded({
    apiVersion: "v1",
    kind: "Node",
    metadata: { name, labels: zone && { "topology.kubernetes.io/zone": zone } },
    spec: { podCIDRs },
    status: { addresses: [{ type: "InternalIP", address: "192.168.1.1" }] },
  });
}

export function located<T extends ManifestObject>(...objects: T[]): Located<T>[] {
  return objects.map((object, index) => ({ object, where: `test.yaml:${index + 1}` }));
}

/** All addresses of slices. */
export function addressesIn(slices: readonly EndpointSlice[]): string[] {
  return slices.flatMap((slice) => slice.endpoints.flatMap((endpoint) => endpoint.addresses));
}
