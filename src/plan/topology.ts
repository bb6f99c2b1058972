/**
 * Which endpoints of a Service port this node uses: readiness, termination, topology hints and
 * traffic policies, as kube-proxy's CategorizeEndpoints decides them.
 *
 * @module
 */

import { type Endpoint, isOnNode } from "../services/endpoints.ts";
import {
  type ServicePort,
  usesClusterEndpoints,
  usesLocalEndpoints,
} from "../services/service_port.ts";

/** Where endpoints are chosen. */
export interface TopologyView {
  readonly nodeName: string;
  /** "" when the node has no zone label. */
  readonly zone: string;
}

/** A port's endpoints by use, each list in the order of the input. */
export interface Categories {
  /** For policy Cluster; empty when no traffic of the port uses it. */
  readonly cluster: readonly Endpoint[];
  /** For policy Local; empty when no traffic of the port uses it. */
  readonly local: readonly Endpoint[];
  /**
   * Whether any endpoint is usable by anyone. With an empty list it tells "no endpoints here" (drop)
   * from "no endpoints at all" (reject).
   */
  readonly hasEndpoints: boolean;
}

/** Sorts the endpoints of a port into those for policy Cluster and those for policy Local. */
export function categorizeEndpoints(
  endpoints: readonly Endpoint[],
  port: ServicePort,
  view: TopologyView,
): Categories {
  const cluster = usesClusterEndpoints(port) ? clusterEndpoints(endpoints, view) : [];
  if (!usesLocalEndpoints(port)) {
    return { cluster, local: [], hasEndpoints: cluster.length > 0 };
  }
  const local = endpoints.filter((endpoint) => isOnNode(endpoint.node, view.nodeName));
  return {
    cluster,
    local: readyOrDraining(local),
    hasEndpoints: readyOrDraining(endpoints).length > 0,
  };
}

/** Ready endpoints that the topology hints allow; the hints do not bind those that are draining. */
function clusterEndpoints(endpoints: readonly Endpoint[], view: TopologyView): Endpoint[] {
  const ready = endpoints.filter((endpoint) => endpoint.ready);
  return ready.length > 0 ? hinted(ready, view) : readyOrDraining(endpoints);
}

/** Ready endpoints, or if there are none, those that still serve while they terminate. */
function readyOrDraining(endpoints: readonly Endpoint[]): Endpoint[] {
  const ready = endpoints.filter((endpoint) => endpoint.ready);
  return ready.length > 0
    ? ready
    : endpoints.filter((endpoint) => endpoint.serving && endpoint.terminating);
}

/**
 * Those hinted for this node, else those hinted for its zone, else all. Hints of a kind count only
 * when every ready endpoint has one, and only when one of them names this node or zone.
 */
function hinted(ready: Endpoint[], { nodeName, zone }: TopologyView): Endpoint[] {
  return selectHinted(ready, (endpoint) => endpoint.nodeHints, nodeName) ??
    selectHinted(ready, (endpoint) => endpoint.zoneHints, zone) ?? ready;
}

function selectHinted(
  ready: readonly Endpoint[],
  hintsOf: (endpoint: Endpoint) => readonly string[],
  name: string,
): Endpoint[] | null {
  if (name === "" || ready.some((endpoint) => hintsOf(endpoint).length === 0)) return null;
  const chosen = ready.filter((endpoint) => hintsOf(endpoint).includes(name));
  return chosen.length > 0 ? chosen : null;
}
