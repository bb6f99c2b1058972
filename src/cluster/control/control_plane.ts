/**
 * What a cluster's control plane makes of the objects that its users write, as one pure function:
 * defaults, cluster IPs, node ports, pods, EndpointSlices.
 *
 * @module
 */

import type { Network } from "../../net/address.ts";
import {
  type ClusterObject,
  type EndpointSlice,
  type Node,
  objectKey,
  type Pod,
  type Service,
  SERVICE_NAME_LABEL,
} from "../objects.ts";
import type { Endpoints } from "../schema/endpoints.ts";
import type { ManifestObject } from "../schema/object.ts";
import type { Workload } from "../schema/workload.ts";
import type { ClusterProblem } from "../source.ts";
import { allocateClusterIPs, type ClusterIPs } from "./cluster_ips.ts";
import { endpointSlicesOf, MANAGED_BY_LABEL, SLICE_CONTROLLER } from "./endpoint_slices.ts";
import { identityOfObject, type Located, problemWith } from "./located.ts";
import { mirroredSlicesOf, MIRRORING_CONTROLLER } from "./mirrored_slices.ts";
import { allocateNodePorts, type NodePorts } from "./node_ports.ts";
import { type Placement, placePods } from "./pod_placement.ts";
import { podRequests } from "./pod_requests.ts";
import { PodIndex } from "./selector.ts";
import { refusalOf, withDefaults } from "./service_defaults.ts";

/** What the cluster is like. */
export interface ControlPlaneOptions {
  /** Networks of cluster IPs; the first one's family is the primary one. */
  readonly serviceNetworks: readonly Network[];
  readonly podNetworks: readonly Network[];
  /** This node. */
  readonly nodeName?: string;
}

/** What was handed out, so that the next run hands out the same again. */
export interface Allocations {
  readonly clusterIPs: ClusterIPs;
  readonly nodePorts: NodePorts;
  readonly placements: ReadonlyMap<string, Placement>;
}

/** Nothing handed out yet. */
export const NO_ALLOCATIONS: Allocations = {
  clusterIPs: new Map(),
  nodePorts: new Map(),
  placements: new Map(),
};

/** The cluster as it should be. */
export interface ClusterState {
  readonly objects: readonly ClusterObject[];
  readonly pods: readonly Pod[];
  readonly problems: readonly ClusterProblem[];
  /** Identities of the objects that were refused. */
  readonly refused: ReadonlySet<string>;
  readonly allocations: Allocations;
}

/**
 * Computes the cluster's state from its users' objects. Of two objects with one identity, or that
 * claim the same address, the first is used and the other reported.
 */
export function computeState(
  input: readonly Located[],
  options: ControlPlaneOptions,
  before: Allocations,
): ClusterState {
  const problems: ClusterProblem[] = [];
  const unique = withoutDuplicates(input, problems);
  const nodes = ofKind<Node>(unique, "Node");
  const admitted = admitServices(ofKind<Service>(unique, "Service"), options, problems);
  const addressed = allocateClusterIPs(admitted, options.serviceNetworks, before.clusterIPs);
  const ported = allocateNodePorts(addressed.services, before.nodePorts);
  const services = ported.services.map(({ object }) => object);

  const requested = podRequests(
    ofKind<Pod>(unique, "Pod"),
    [
      ...ofKind<Workload>(unique, "Deployment"),
      ...ofKind<Workload>(unique, "ReplicaSet"),
      ...ofKind<Workload>(unique, "StatefulSet"),
      ...ofKind<Workload>(unique, "DaemonSet"),
    ],
    nodes.map(({ object }) => object.metadata.name),
  );
  const placed = placePods(
    requested.requests,
    { ...options, nodes: nodes.map(({ object }) => object) },
    before.placements,
  );

  const slices = ofKind<EndpointSlice>(unique, "EndpointSlice").map(({ object }) => object);
  const computed = computeSlices(
    services,
    placed.pods,
    nodes.map(({ object }) => object),
    ofKind<Endpoints>(unique, "Endpoints").map(({ object }) => object),
    slices,
  );
  // Nothing is computed from these; they are passed on.
  const others = unique.flatMap(({ object }) =>
    object.kind === "Ingress" || object.kind === "ServiceCIDR" ? [object] : []
  );
  const used = new Set(services.map(identityOfObject));
  return {
    objects: [
      ...nodes.map(({ object }) => object),
      ...services,
      ...slices,
      ...computed,
      ...others,
    ],
    pods: placed.pods,
    problems: [
      ...problems,
      ...addressed.problems,
      ...ported.problems,
      ...requested.problems,
      ...placed.problems,
    ],
    refused: new Set(
      ofKind<Service>(unique, "Service").map(({ object }) => identityOfObject(object))
        .filter((identity) => !used.has(identity)),
    ),
    allocations: {
      clusterIPs: addressed.given,
      nodePorts: ported.given,
      placements: placed.placements,
    },
  };
}

function ofKind<T extends ManifestObject>(all: readonly Located[], kind: T["kind"]): Located<T>[] {
  return all.filter(({ object }) => object.kind === kind) as Located<T>[];
}

function withoutDuplicates(input: readonly Located[], problems: ClusterProblem[]): Located[] {
  const first = new Map<string, Located>();
  for (const located of input) {
    const identity = identityOfObject(located.object);
    const other = first.get(identity);
    if (other === undefined) first.set(identity, located);
    else problems.push(problemWith(located, "metadata.name", `already defined at ${other.where}`));
  }
  return [...first.values()];
}

function admitServices(
  services: readonly Located<Service>[],
  { serviceNetworks }: ControlPlaneOptions,
  problems: ClusterProblem[],
): Located<Service>[] {
  const families = [...new Set(serviceNetworks.map((network) => network.family))];
  return services.flatMap((located) => {
    const result = refusalOf(located.object) ?? withDefaults(located.object, families);
    if (!("message" in result)) return [{ ...located, object: result }];
    problems.push(problemWith(located, result.field, result.message));
    return [];
  });
}

/**
 * The slices that the controllers make. Where the input holds their output for a Service already,
 * as a dump of a cluster does, that is used instead.
 */
function computeSlices(
  services: readonly Service[],
  pods: readonly Pod[],
  nodes: readonly Node[],
  endpoints: readonly Endpoints[],
  given: readonly EndpointSlice[],
): EndpointSlice[] {
  const kept = new Set(given.map((slice) => {
    const { labels, namespace } = slice.metadata;
    return `${labels?.[MANAGED_BY_LABEL]} ${namespace}/${labels?.[SERVICE_NAME_LABEL]}`;
  }));
  const index = new PodIndex(pods);
  const nodesByName = new Map(nodes.map((node) => [node.metadata.name, node]));
  const endpointsByKey = new Map(endpoints.map((one) => [objectKey(one), one]));
  return services.flatMap((service) => {
    const key = objectKey(service);
    const { selector, type } = service.spec;
    if (type === "ExternalName") return [];
    if (selector !== undefined) {
      if (kept.has(`${SLICE_CONTROLLER} ${key}`)) return [];
      const matching = index.matching(service.metadata.namespace, selector);
      return endpointSlicesOf(service, matching, nodesByName);
    }
    const mirrored = endpointsByKey.get(key);
    if (mirrored === undefined || kept.has(`${MIRRORING_CONTROLLER} ${key}`)) return [];
    return mirroredSlicesOf(mirrored);
  });
}
