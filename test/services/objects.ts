/**
 * Short ways to write Kubernetes objects in tests.
 *
 * @module
 */

import {
  type EndpointSlice,
  type Node,
  type Service,
  SERVICE_NAME_LABEL,
  type SliceEndpoint,
} from "../../src/cluster/objects.ts";
import type { ClusterChange } from "../../src/cluster/source.ts";

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

/** Service default/NAME of type ClusterIP at 10.96.0.10 with one unnamed TCP port 80. */
export function service(
  name: string,
  spec: Partial<Service["spec"]> = {},
  rest: { labels?: Record<string, string>; namespace?: string; status?: Service["status"] } = {},
): Service {
  const { labels, namespace = "default", status } = rest;
  return {
    kind: "Service",
    metadata: { name, namespace, ...(labels === undefined ? {} : { labels }) },
    spec: {
      type: "ClusterIP",
      clusterIP: "10.96.0.10",
      ports: [{ port: 80, protocol: "TCP" }],
      ...spec,
    },
    ...(status === undefined ? {} : { status }),
  };
}

/** Status with these load-balancer addresses. */
export function ingress(...ips: (string | { ip?: string; ipMode?: string; hostname?: string })[]) {
  return {
    loadBalancer: { ingress: ips.map((ip) => typeof ip === "string" ? { ip } : ip) },
  };
}

/** IPv4 slice default/SERVICE-SUFFIX with one unnamed TCP port 8080. */
export function slice(
  serviceName: string,
  endpoints: readonly (string | SliceEndpoint)[],
  options: Partial<Mutable<Omit<EndpointSlice, "endpoints" | "metadata">>> & {
    suffix?: string;
    namespace?: string;
    labels?: Record<string, string>;
  } = {},
): EndpointSlice {
  const { suffix = "1", namespace = "default", labels, addressType = "IPv4", ports } = options;
  return {
    kind: "EndpointSlice",
    metadata: {
      name: `${serviceName}-${suffix}`,
      namespace,
      labels: { [SERVICE_NAME_LABEL]: serviceName, ...labels },
    },
    addressType,
    endpoints: endpoints.map((endpoint) =>
      typeof endpoint === "string" ? { addresses: [endpoint] } : endpoint
    ),
    ports: ports ?? [{ port: 8080, protocol: "TCP" }],
  };
}

/** An endpoint in words: "ready", "notReady", "draining" (terminating, serving) or "dead". */
export function endpoint(
  address: string,
  state: "ready" | "notReady" | "draining" | "dead" = "ready",
  rest: { node?: string; zones?: string[]; nodes?: string[]; zone?: string } = {},
): SliceEndpoint {
  const { node, zones, nodes, zone } = rest;
  const conditions = {
    ready: { ready: true, serving: true, terminating: false },
    notReady: { ready: false, serving: false, terminating: false },
    draining: { ready: false, serving: true, terminating: true },
    dead: { ready: false, serving: false, terminating: true },
  }[state];
  return {
    addresses: [address],
    conditions,
    ...(node === undefined ? {} : { nodeName: node }),
    ...(zone === undefined ? {} : { zone }),
    ...(zones === undefined && nodes === undefined ? {} : {
      hints: {
        ...(zones === undefined ? {} : { forZones: zones.map((name) => ({ name })) }),
        ...(nodes === undefined ? {} : { forNodes: nodes.map((name) => ({ name })) }),
      },
    }),
  };
}

/** A Node with these labels and internal addresses. */
export function node(
  name: string,
  labels: Record<string, string> = {},
  addresses: readonly string[] = [],
  podCIDRs: readonly string[] = [],
): Node {
  return {
    kind: "Node",
    metadata: { name, labels },
    spec: { podCIDRs },
    status: { addresses: addresses.map((address) => ({ type: "InternalIP", address })) },
  };
}

/** Objects as changes that apply them. */
export function apply(...objects: ClusterChange["object"][]): ClusterChange[] {
  return objects.map((object) => ({ action: "apply", object }));
}

/** Objects as changes that delete them. */
export function remove(...objects: ClusterChange["object"][]): ClusterChange[] {
  return objects.map((object) => ({ action: "delete", object }));
}
