/**
 * How a frontend's routes, which differ by class of source, are had with virtual servers, of which
 * there is one at an address and port whoever asks.
 *
 * @module
 */

import type { Backend, Frontend, Route, ServicePortPlan } from "../../plan/plan.ts";
import { endpointKey } from "../iptables/names.ts";

/** Which of a port's two lists. */
export type ListName = "cluster" | "local";

/** What becomes of a frontend. */
export interface FrontendRouting {
  /** The list behind the virtual server; "none" has no real servers; null: there is no server. */
  readonly list: ListName | "none" | null;
  /** New connections that never get to the server. */
  readonly verdict: "reject" | "drop" | "drop-outside" | null;
  /** Who is led to the cluster IP instead, where the other list is. */
  readonly shortCircuit: "inside" | "outside" | null;
}

/**
 * Pods and the node itself are "inside": where they may use a list that others may not, the plan
 * treats them alike. A server has the list that `outside` is to use, and those inside are led to the
 * cluster IP when that has theirs, or the other way round. The only case without a way is a Service
 * without cluster IP of its own: everybody gets what `outside` gets.
 */
export function frontendRouting(port: ServicePortPlan, frontend: Frontend): FrontendRouting {
  const { node, outside } = frontend.routes;
  const inside = listOf(node);
  const others = listOf(outside);
  if (inside === null || others === null) {
    const list = inside ?? others;
    if (list !== null) return { list, verdict: "drop-outside", shortCircuit: null };
    return node.action === "reject"
      ? { list: "none", verdict: "reject", shortCircuit: null }
      : { list: null, verdict: "drop", shortCircuit: null };
  }
  const plain = { list: others, verdict: null, shortCircuit: null };
  if (inside === others || sameBackends(port.cluster, port.local)) return plain;
  const atClusterIP = clusterIPList(port);
  if (atClusterIP === inside) return { ...plain, shortCircuit: "inside" };
  if (atClusterIP === others) return { list: inside, verdict: null, shortCircuit: "outside" };
  return plain;
}

/** The cluster IP's frontend, unless another Service has taken the address. */
export function clusterIPOf(port: ServicePortPlan): Frontend | undefined {
  return port.frontends.find(({ kind }) => kind === "ClusterIP");
}

/** The list behind the cluster IP. */
function clusterIPList(port: ServicePortPlan): ListName | null {
  const frontend = clusterIPOf(port);
  return frontend === undefined ? null : listOf(frontend.routes.outside);
}

function listOf(route: Route): ListName | null {
  return route.action === "forward" ? route.to : null;
}

/** Both are sorted. */
function sameBackends(one: readonly Backend[], other: readonly Backend[]): boolean {
  return one.length === other.length &&
    one.every((backend, i) => endpointKey(backend) === endpointKey(other[i]));
}
