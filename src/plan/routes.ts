/**
 * What happens to a new connection at a frontend, by class of source: traffic policies and the
 * masquerade rules, as all modes of kube-proxy aim at them.
 *
 * @module
 */

import type { Route, SourceClass } from "./plan.ts";

/** What routes are decided from. */
export interface RouteInputs {
  /** Whether the port's list for policy Local has endpoints. */
  readonly hasLocal: boolean;
  /** Whether any endpoint anywhere is usable. */
  readonly hasEndpoints: boolean;
  /** Whether traffic of local pods can be recognised in this family. */
  readonly detectsPods: boolean;
}

type Routes = Readonly<Record<SourceClass, Route>>;

const REJECT: Route = { action: "reject" };
const DROP: Route = { action: "drop" };

function forward(to: "cluster" | "local", masquerade: boolean): Route {
  return { action: "forward", to, masquerade };
}

function everyone(route: Route): Routes {
  return { pod: route, node: route, outside: route };
}

/**
 * Routes of a cluster IP. With policy Local and no endpoint on this node, connections are dropped.
 *
 * Sources that are not local pods are masqueraded, because the endpoint's answer could otherwise
 * bypass this node; when pods cannot be told apart, only `masqueradeAll` masquerades.
 */
export function internalRoutes(
  policyLocal: boolean,
  masqueradeAll: boolean,
  { hasLocal, hasEndpoints, detectsPods }: RouteInputs,
): Routes {
  if (!hasEndpoints) return everyone(REJECT);
  if (policyLocal && !hasLocal) return everyone(DROP);
  const to = policyLocal ? "local" : "cluster";
  const others = forward(to, masqueradeAll || detectsPods);
  return { pod: forward(to, masqueradeAll), node: others, outside: others };
}

/**
 * Routes of an external address or node port.
 *
 * Policy Local keeps the client's address and uses only this node's endpoints, but local pods and
 * the node itself, which the policy is not meant for, reach every endpoint.
 */
export function externalRoutes(
  policyLocal: boolean,
  { hasLocal, hasEndpoints, detectsPods }: RouteInputs,
): Routes {
  if (!hasEndpoints) return everyone(REJECT);
  if (!policyLocal) return everyone(forward("cluster", true));
  const outside = hasLocal ? forward("local", false) : DROP;
  return {
    pod: detectsPods ? forward("cluster", false) : outside,
    node: forward("cluster", true),
    outside,
  };
}
