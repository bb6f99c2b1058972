/**
 * What of a Service rules can be made from.
 *
 * @module
 */

import { familyOf, parseAddress, parseNetwork } from "../../net/address.ts";
import {
  type Backend,
  type ServicePlan,
  servicePortName,
  type ServicePortPlan,
} from "../../plan/plan.ts";
import { endpointKey } from "./names.ts";
import { commentText } from "./rules.ts";

/** Largest `--seconds` of xt_recent. */
const MAX_SECONDS = 2 ** 32 - 1;

/**
 * Why no rule can be made from a Service, or null: one bad value would make the kernel refuse the
 * rules of all Services at once.
 */
export function unrenderable(service: ServicePlan): string | null {
  if (!isPort(service.healthCheckNodePort) && service.healthCheckNodePort !== 0) {
    return `healthCheckNodePort ${service.healthCheckNodePort}: expected a port or 0`;
  }
  for (const port of service.ports) {
    const where = commentText(servicePortName(port));
    if (!["TCP", "UDP", "SCTP"].includes(port.protocol)) {
      return `${where}: protocol ${JSON.stringify(port.protocol)}: expected TCP, UDP or SCTP`;
    }
    const seconds = port.affinitySeconds;
    if (seconds !== null && !(Number.isInteger(seconds) && seconds > 0 && seconds <= MAX_SECONDS)) {
      return `${where}: affinity of ${seconds} s: expected whole seconds`;
    }
    for (const { address, port: number } of [...port.frontends, ...port.endpoints]) {
      if (!isPort(number)) return `${where}: port ${number}: expected 1 to 65535`;
      if (address !== null && !isAddress(address, port)) {
        return `${where}: address ${JSON.stringify(address)}: expected an ${port.family} address`;
      }
    }
    for (const range of port.frontends.flatMap((frontend) => frontend.sourceRanges ?? [])) {
      if (parseNetwork(range)?.family !== port.family) {
        return `${where}: range ${JSON.stringify(range)}: expected an ${port.family} network`;
      }
    }
  }
  return null;
}

function isPort(value: number): boolean {
  return Number.isInteger(value) && value >= 1 && value <= 65535;
}

function isAddress(text: string, { family }: ServicePortPlan): boolean {
  return parseAddress(text) === text && familyOf(text) === family;
}

/** Endpoints of either policy, each once, sorted by "address:port" as bytes. */
export function reachable({ cluster, local }: ServicePortPlan): readonly Backend[] {
  if (local.length === 0) return cluster;
  const known = new Map(cluster.map((backend) => [endpointKey(backend), backend]));
  const before = known.size;
  for (const backend of local) {
    const key = endpointKey(backend);
    if (!known.has(key)) known.set(key, backend);
  }
  if (known.size === before) return cluster;
  return [...known].sort(([a], [b]) => a < b ? -1 : 1).map(([, backend]) => backend);
}
