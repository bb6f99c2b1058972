/**
 * What the node's routing must send into the engine's TUN device, as data: userspace mode's rule set.
 *
 * @module
 */

import type { Protocol } from "../../cluster/objects.ts";
import { type Family, familyOf } from "../../net/address.ts";
import type { Plan } from "../../plan/plan.ts";
import { coveringRanges, NodePorts, type PortRange } from "./node_ports.ts";

export type { PortRange } from "./node_ports.ts";

/** Ports of one local address that are taken away from the node's own sockets. */
export interface Capture {
  readonly address: string;
  /** "ICMP" has no ports (both 0): errors about masqueraded packets come to the node's address. */
  readonly protocol: Protocol | "ICMP";
  readonly firstPort: number;
  readonly lastPort: number;
}

/** The rule set of userspace mode. */
export interface UserspaceRules {
  /**
   * Addresses that are nothing but Service addresses, routed to the engine whole, each with the
   * source address that the node's own connections to it get (null: the kernel's choice).
   */
  readonly routes: ReadonlyMap<string, string | null>;
  /**
   * The source address of the node's own IPv4 packets to captured ports (null: the kernel's choice,
   * which may be an address that is on the engine's device only). In IPv6 the kernel always takes
   * the address that is dialled (RFC 6724, rule 1).
   */
  readonly captureSource: string | null;
  /** Ports on addresses that the node itself has, by {@link captureKey}. */
  readonly captures: ReadonlyMap<string, Capture>;
}

/**
 * The port range of masqueraded connections unless configured otherwise. Port 65535 is left out, as
 * no policy rule can name it (net/core/fib_rules.c).
 */
export const MASQUERADE_PORTS: PortRange = { first: 61000, last: 65534 };

/** Captures of one address and protocol for node ports: the kernel walks policy rules one by one. */
const MOST_RANGES = 32;

/** Identity of a capture, also its description in messages. */
export function captureKey(capture: Capture): string {
  return `${capture.protocol} ${capture.address} ${capture.firstPort}-${capture.lastPort}`;
}

/**
 * The rule set for a plan.
 *
 * A Service address of the node itself (an external IP, say) cannot be routed whole, since that
 * would take the node's other traffic along: only the Service's ports are captured. The same holds
 * for node ports: what the node itself serves beside them must stay its own, because the kernel
 * recognises packets of the node's own TCP connections before it routes them, and forwards them to no
 * device (net/ipv4/ip_forward.c).
 */
export function render(plan: Plan, masqueradePorts: PortRange): UserspaceRules {
  const own = new Set(plan.node.addresses);
  const nodePortAddresses = new Set(plan.node.nodePortAddresses);
  const routes = new Map<string, string | null>();
  const sources = masqueradeAddresses(plan);
  const sourceIn = (family: Family) =>
    sources.find((source) => familyOf(source) === family) ?? null;
  const captures = new Map<string, Capture>();
  const capture = (
    address: string,
    protocol: Capture["protocol"],
    firstPort: number,
    lastPort: number,
  ) => {
    const added = { address, protocol, firstPort, lastPort };
    captures.set(captureKey(added), added);
  };

  const nodePorts = new NodePorts();
  for (const service of plan.services.values()) {
    for (const port of service.ports) {
      for (const frontend of port.frontends) {
        if (frontend.address === null) nodePorts.add(port.family, port.protocol, frontend.port);
        else if (own.has(frontend.address)) {
          capture(frontend.address, port.protocol, frontend.port, frontend.port);
        } else {
          routes.set(frontend.address, sourceIn(familyOf(frontend.address)));
        }
      }
    }
  }
  const kept = healthCheckNodePorts(plan);
  for (const { family, protocol, ports } of nodePorts.all()) {
    const ranges = coveringRanges(ports, protocol === "TCP" ? kept : new Set(), MOST_RANGES);
    for (const address of nodePortAddresses) {
      if (familyOf(address) !== family) continue;
      for (const { first, last } of ranges) capture(address, protocol, first, last);
    }
  }
  for (const address of sources) {
    for (const protocol of ["TCP", "UDP", "SCTP"] as const) {
      capture(address, protocol, masqueradePorts.first, masqueradePorts.last);
    }
    // ICMPv6 also carries neighbour discovery, which must stay with the link it belongs to.
    if (familyOf(address) === "IPv4") capture(address, "ICMP", 0, 0);
  }
  return { routes, captureSource: sourceIn("IPv4"), captures };
}

/** Ports on which the node itself answers for its Services. */
function healthCheckNodePorts({ services }: Pick<Plan, "services">): Set<number> {
  const ports = [...services.values()].map((service) => service.healthCheckNodePort);
  return new Set(ports.filter((port) => port !== 0));
}

/** The node's address in each family that connections are masqueraded to: the first of the family. */
export function masqueradeAddresses(plan: Pick<Plan, "node">): string[] {
  const chosen: string[] = [];
  for (const family of ["IPv4", "IPv6"]) {
    const address = plan.node.addresses.find((candidate) => familyOf(candidate) === family);
    if (address !== undefined) chosen.push(address);
  }
  return chosen;
}

/** A step from one rule set to another: additions come first, so that nothing is uncovered between. */
export interface Transaction {
  /** Address and preferred source; takes the place of a route to the same address. */
  readonly addRoutes: readonly (readonly [address: string, source: string | null])[];
  /** Absent: stays as it is. */
  readonly captureSource?: string | null;
  readonly addCaptures: readonly Capture[];
  readonly removeRoutes: readonly string[];
  readonly removeCaptures: readonly Capture[];
}

/** The transaction that turns `from` (what the node has) into `to`. */
export function diff(from: UserspaceRules, to: UserspaceRules): Transaction {
  return {
    addRoutes: [...to.routes].filter(([address, source]) => from.routes.get(address) !== source),
    ...(from.captureSource === to.captureSource ? {} : { captureSource: to.captureSource }),
    addCaptures: [...to.captures].filter(([key]) => !from.captures.has(key)).map(([, c]) => c),
    removeRoutes: [...from.routes.keys()].filter((address) => !to.routes.has(address)),
    removeCaptures: [...from.captures].filter(([key]) => !to.captures.has(key)).map(([, c]) => c),
  };
}
