/**
 * The plan that the engine is measured with: 10,000 Services of ten backends.
 *
 * @module
 */

import type { Protocol } from "../../src/cluster/objects.ts";
import type { Family } from "../../src/net/address.ts";
import type { NodeInfo, PlanChange, Route, ServicePlan } from "../../src/plan/plan.ts";
import { readyBackend, serviceOf, servicePort } from "../../test/plan/service_plan.ts";

export const SERVICES = 10_000;
export const BACKENDS = 10;
/** What every Service listens on, and every backend. */
export const SERVICE_PORT = 80;
const BACKEND_PORT = 8080;

const NODE: NodeInfo = {
  name: "node-1",
  addresses: ["192.168.0.1", "fd00:192::1"],
  nodePortAddresses: ["192.168.0.1", "fd00:192::1"],
  podNetworks: ["10.244.0.0/16", "fd00:244::/64"],
};

const ROUTE: Route = { action: "forward", to: "cluster", masquerade: true };

/** Networks by use: in IPv4 10.N.0.0, in IPv6 fd00:N::, N being decimal digits in both. */
export const SERVICE_NETWORK = 96, CLIENT_NETWORK = 128, BACKEND_NETWORK = 160;

/** An address of a network as {@link End} has it. */
export function place(family: Family, network: number, host: number) {
  return family === "IPv4"
    ? { network: 0, host: 0x0a000000 + (network << 16) + host }
    : { network: 0xfd000000 + parseInt(String(network), 16), host };
}

/** The address that connections are masqueraded to, as {@link End} has it. */
export function nodePlace(family: Family) {
  return family === "IPv4" ? { network: 0, host: 0xc0a80001 } : { network: 0xfd000192, host: 1 };
}

function address(family: Family, network: number, index: number): string {
  return family === "IPv4"
    ? `10.${network + (index >> 16)}.${(index >> 8) & 255}.${index & 255}`
    : `fd00:${network}::${(index >> 16).toString(16)}:${(index & 0xffff).toString(16)}`;
}

function servicePlan(family: Family, protocol: Protocol, index: number): ServicePlan {
  const cluster = Array.from(
    { length: BACKENDS },
    (_, i) => readyBackend(address(family, BACKEND_NETWORK, index * BACKENDS + i), BACKEND_PORT),
  );
  return serviceOf([servicePort({
    service: `s${index}`,
    protocol,
    family,
    cluster,
    endpoints: cluster,
    hasEndpoints: true,
    frontends: [{
      kind: "ClusterIP",
      address: address(family, SERVICE_NETWORK, index),
      port: SERVICE_PORT,
      routes: { pod: ROUTE, node: ROUTE, outside: ROUTE },
      sourceRanges: null,
    }],
  })]);
}

/** All Services at once. */
export function clusterPlan(family: Family, protocol: Protocol): PlanChange {
  return {
    node: NODE,
    updated: Array.from({ length: SERVICES }, (_, i) => servicePlan(family, protocol, i)),
    removed: [],
  };
}
