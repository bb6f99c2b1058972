/**
 * UDP flows that the kernel still sends where the plan does not. UDP has no end that conntrack
 * could see, so as long as a client keeps sending, its datagrams go to the endpoint that was chosen
 * first, or to nobody, when there was none then.
 *
 * @module
 */

import { formatSocketAddress } from "../../net/address.ts";
import type { Family } from "../../net/address.ts";
import type { Connection } from "../../netlink/netfilter/conntrack.ts";
import type { Plan, PlanChange, ServicePlan } from "../../plan/plan.ts";

/** "address:port" of those who may answer. */
type Endpoints = ReadonlySet<string>;

/** Whether a change can make flows stale: one of Services with UDP ports. */
export function touchesUdp(change: Pick<PlanChange, "updated">): boolean {
  return change.updated.some(({ ports }) => ports.some(({ protocol }) => protocol === "UDP"));
}

/**
 * The UDP flows of a family that are answered by none of their Service's endpoints, as kube-proxy
 * since 1.32 decides it: endpoints that serve count, ready or not, wherever they are; Services
 * without any, and flows to no Service, are left alone.
 */
export function staleUdp(
  plan: Pick<Plan, "services">,
  family: Family,
  connections: readonly Connection[],
): Connection[] {
  const { byAddress, byNodePort } = frontends(plan.services.values(), family);
  return connections.filter(({ family: own, original, reply }) => {
    if (own !== family || original.protocol !== IPPROTO_UDP) return false;
    const { destination, destinationPort } = original;
    const endpoints = byAddress.get(formatSocketAddress(destination, destinationPort ?? 0)) ??
      byNodePort.get(destinationPort ?? 0);
    if (endpoints === undefined) return false;
    return !endpoints.has(formatSocketAddress(reply.source, reply.sourcePort ?? 0));
  });
}

/** Whether any Service of a family has UDP flows to look after. */
export function servesUdp({ services }: Pick<Plan, "services">, family: Family): boolean {
  for (const { ports } of services.values()) {
    for (const port of ports) {
      if (port.protocol === "UDP" && port.family === family && port.endpoints.length > 0) {
        return true;
      }
    }
  }
  return false;
}

/** IP protocol number. */
export const IPPROTO_UDP = 17;

function frontends(services: Iterable<ServicePlan>, family: Family) {
  const byAddress = new Map<string, Endpoints>();
  const byNodePort = new Map<number, Endpoints>();
  for (const { ports } of services) {
    for (const port of ports) {
      if (port.protocol !== "UDP" || port.family !== family) continue;
      const endpoints = new Set(
        port.endpoints.filter(({ serving }) => serving)
          .map(({ address, port }) => formatSocketAddress(address, port)),
      );
      if (endpoints.size === 0) continue;
      for (const { address, port: number } of port.frontends) {
        if (address === null) byNodePort.set(number, endpoints);
        else byAddress.set(formatSocketAddress(address, number), endpoints);
      }
    }
  }
  return { byAddress, byNodePort };
}
