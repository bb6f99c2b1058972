/**
 * Plans of Services, as far as a test says what is in them.
 *
 * @module
 */

import type { Backend, ServicePlan, ServicePortPlan } from "../../src/plan/plan.ts";

/** A ready endpoint on another node. */
export function readyBackend(
  address: string,
  port: number,
  rest: Partial<Backend> = {},
): Backend {
  const state = { ready: true, serving: true, terminating: false, local: false };
  return { address, port, weight: 1, ...state, ...rest };
}

/** The unnamed TCP port of a Service default/web, with neither frontends nor endpoints. */
export function servicePort(rest: Partial<ServicePortPlan> = {}): ServicePortPlan {
  return {
    namespace: "default",
    service: "web",
    portName: "",
    protocol: "TCP",
    family: "IPv4",
    scheduler: "rr",
    affinitySeconds: null,
    internalTrafficPolicy: "Cluster",
    externalTrafficPolicy: "Cluster",
    cluster: [],
    local: [],
    endpoints: [],
    hasEndpoints: false,
    frontends: [],
    ...rest,
  };
}

/** The Service of these ports. */
export function serviceOf(
  ports: readonly [ServicePortPlan, ...ServicePortPlan[]],
  rest: Partial<ServicePlan> = {},
): ServicePlan {
  const [{ namespace, service: name }] = ports;
  return {
    namespace,
    name,
    type: "ClusterIP",
    headless: false,
    ports,
    healthCheckNodePort: 0,
    localReadyEndpoints: 0,
    ...rest,
  };
}
