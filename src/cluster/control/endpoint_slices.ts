/**
 * EndpointSlices of a Service with a selector, as the cluster's EndpointSlice controller computes
 * them (kubernetes staging/src/k8s.io/endpointslice: reconciler.go, utils.go, trafficdist).
 *
 * @module
 */

import { type Family, familyOf } from "../../net/address.ts";
import {
  type EndpointSlice,
  HEADLESS_LABEL,
  type Node,
  type Pod,
  type Service,
  SERVICE_NAME_LABEL,
  type ServicePortSpec,
  type SliceEndpoint,
  ZONE_LABEL,
} from "../objects.ts";
import { nameSuffix } from "./hash.ts";
import { isReady, isTerminal } from "./pod_state.ts";
import { isHeadless } from "./service_defaults.ts";

/** Label that says which controller keeps a slice. */
export const MANAGED_BY_LABEL = "endpointslice.kubernetes.io/managed-by";
/** Its value on slices that are computed from pods. */
export const SLICE_CONTROLLER = "endpointslice-controller.k8s.io";
/** Most endpoints in a slice: the controller's --max-endpoints-per-slice. */
export const MAX_ENDPOINTS = 100;

type SlicePort = EndpointSlice["ports"][number];

/**
 * The slices of a Service: for each of its IP families, pods that have the same port numbers share
 * slices, of at most {@link MAX_ENDPOINTS}. A family without endpoints has one empty slice.
 *
 * Pods on a Node that is not known are kept (the cluster's controller leaves them out until it
 * knows the Node): manifests need not describe the nodes.
 *
 * @param service with the API server's defaults.
 * @param pods those that the selector matches, in the Service's namespace, in a stable order.
 */
export function endpointSlicesOf(
  service: Service,
  pods: readonly Pod[],
  nodes: ReadonlyMap<string, Node>,
): EndpointSlice[] {
  const live = pods.filter((pod) => !isTerminal(pod)).map((pod) => ({
    pod,
    ports: service.spec.ports.flatMap((port) => slicePort(port, pod)),
  }));
  return (service.spec.ipFamilies ?? []).flatMap((family) => {
    const groups = new Map<string, { ports: SlicePort[]; endpoints: SliceEndpoint[] }>();
    for (const { pod, ports } of live) {
      const endpoint = endpointOf(service, pod, family, nodes);
      if (endpoint === null) continue;
      const key = JSON.stringify(ports);
      const group = groups.get(key) ?? { ports, endpoints: [] };
      group.endpoints.push(endpoint);
      groups.set(key, group);
    }
    if (groups.size === 0) groups.set("", { ports: [], endpoints: [] });
    return [...groups].flatMap(([key, group]) => slicesOfGroup(service, family, key, group));
  });
}

function slicesOfGroup(
  service: Service,
  family: Family,
  key: string,
  { ports, endpoints }: { ports: SlicePort[]; endpoints: SliceEndpoint[] },
): EndpointSlice[] {
  const slices: EndpointSlice[] = [];
  const { name, namespace } = service.metadata;
  const group = `${name}-${family.toLowerCase()}-${nameSuffix(key)}`;
  for (let start = 0; start === 0 || start < endpoints.length; start += MAX_ENDPOINTS) {
    slices.push({
      kind: "EndpointSlice",
      metadata: {
        name: start === 0 ? group : `${group}-${start / MAX_ENDPOINTS}`,
        namespace,
        labels: sliceLabels(service),
      },
      addressType: family,
      endpoints: endpoints.slice(start, start + MAX_ENDPOINTS),
      ports,
    });
  }
  return slices;
}

/** A Service's own labels, with the ones that the controller keeps. */
function sliceLabels(service: Service): Record<string, string> {
  const { [HEADLESS_LABEL]: _, ...labels } = service.metadata.labels ?? {};
  return {
    ...labels,
    ...(isHeadless(service) && { [HEADLESS_LABEL]: "" }),
    [SERVICE_NAME_LABEL]: service.metadata.name,
    [MANAGED_BY_LABEL]: SLICE_CONTROLLER,
  };
}

/** A Service port as it is on a pod; none if the pod has no port of the name that it targets. */
function slicePort(port: ServicePortSpec, pod: Pod): SlicePort[] {
  const target = port.targetPort ?? port.port;
  const number = typeof target === "number" ? target : namedPort(pod, target, port.protocol);
  if (number === undefined) return [];
  return [{
    ...(port.name !== undefined && { name: port.name }),
    protocol: port.protocol,
    port: number,
  }];
}

function namedPort(pod: Pod, name: string, protocol: string): number | undefined {
  return pod.spec.containers.flatMap((container) => container.ports)
    .find((port) => port.name === name && port.protocol === protocol)?.containerPort;
}

function endpointOf(
  service: Service,
  pod: Pod,
  family: Family,
  nodes: ReadonlyMap<string, Node>,
): SliceEndpoint | null {
  const addresses = pod.status.podIPs.filter((address) => familyOf(address) === family);
  if (addresses.length === 0) return null;
  const { name, namespace } = pod.metadata;
  const { nodeName, hostname, subdomain } = pod.spec;
  const zone = nodeName === undefined
    ? undefined
    : nodes.get(nodeName)?.metadata.labels?.[ZONE_LABEL];
  const serving = isReady(pod);
  const terminating = pod.metadata.deletionTimestamp !== undefined;
  const named = hostname !== undefined && subdomain === service.metadata.name;
  const hints = hintsOf(service, zone, nodeName);
  return {
    addresses,
    conditions: {
      ready: service.spec.publishNotReadyAddresses === true || serving && !terminating,
      serving,
      terminating,
    },
    ...(named && { hostname }),
    ...(nodeName !== undefined && { nodeName }),
    ...(zone !== undefined && { zone }),
    targetRef: { kind: "Pod", namespace, name },
    ...(hints !== null && { hints }),
  };
}

/** Hints for spec.trafficDistribution: each endpoint serves its own zone, or node. */
function hintsOf(
  service: Service,
  zone: string | undefined,
  node: string | undefined,
): SliceEndpoint["hints"] | null {
  const wish = service.spec.trafficDistribution;
  const sameNode = wish === "PreferSameNode";
  if (!sameNode && wish !== "PreferClose" && wish !== "PreferSameZone") return null;
  if (zone === undefined && !(sameNode && node !== undefined)) return null;
  return {
    ...(zone !== undefined && { forZones: [{ name: zone }] }),
    ...(sameNode && node !== undefined && { forNodes: [{ name: node }] }),
  };
}
