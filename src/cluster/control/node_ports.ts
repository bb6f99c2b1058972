/** Node ports of Services. @module */

import { objectKey, type Service, type ServicePortSpec } from "../objects.ts";
import type { ClusterProblem } from "../source.ts";
import { hashText } from "./hash.ts";
import { type Located, problemWith } from "./located.ts";

/** The API server's default --service-node-port-range, both ends included. */
export const NODE_PORT_RANGE = { first: 30000, last: 32767 } as const;

/** Ports given before, by {@link portKey}. */
export type NodePorts = ReadonlyMap<string, number>;

/** Services with their node ports. */
export interface NodePortResult {
  readonly services: readonly Located<Service>[];
  readonly problems: readonly ClusterProblem[];
  readonly given: NodePorts;
}

/**
 * Gives the ports of NodePort and LoadBalancer Services their node ports, and LoadBalancers with
 * externalTrafficPolicy Local their health check port: explicit ones first, then those that had one
 * keep it, the others get a free one of the range. A port that cannot have its explicit node port,
 * because it is out of range or another Service's, is reported and left without.
 */
export function allocateNodePorts(
  services: readonly Located<Service>[],
  before: NodePorts,
): NodePortResult {
  const problems: ClusterProblem[] = [];
  const taken = new Map<string, string>();
  const chosen = new Map<string, number | null>();
  const given = new Map<string, number>();
  const slots = services.flatMap(slotsOf);
  for (const slot of slots) {
    if (slot.explicit === undefined) continue;
    const holder = taken.get(`${slot.explicit}/${slot.protocol}`);
    const message = slot.explicit < NODE_PORT_RANGE.first || slot.explicit > NODE_PORT_RANGE.last
      ? `expected ${NODE_PORT_RANGE.first} to ${NODE_PORT_RANGE.last}, found ${slot.explicit}`
      : holder !== undefined
      ? `${slot.explicit}/${slot.protocol} is a node port of Service ${holder}`
      : null;
    if (message !== null) problems.push(problemWith(slot.located, slot.field, message));
    else taken.set(`${slot.explicit}/${slot.protocol}`, objectKey(slot.located.object));
    chosen.set(slot.key, message === null ? slot.explicit : null);
  }
  const take = (slot: Slot, port: number): boolean => {
    const mark = `${port}/${slot.protocol}`;
    if (taken.has(mark)) return false;
    taken.set(mark, objectKey(slot.located.object));
    chosen.set(slot.key, port);
    given.set(slot.key, port);
    return true;
  };
  for (const slot of slots) {
    const kept = before.get(slot.key);
    if (!chosen.has(slot.key) && kept !== undefined) take(slot, kept);
  }
  const size = NODE_PORT_RANGE.last - NODE_PORT_RANGE.first + 1;
  for (const slot of slots) {
    const start = hashText(slot.key) % size;
    for (let step = 0; step < size && !chosen.has(slot.key); step++) {
      take(slot, NODE_PORT_RANGE.first + (start + step) % size);
    }
    if (chosen.has(slot.key)) continue;
    problems.push(problemWith(slot.located, slot.field, "no node port is free"));
  }
  return {
    services: services.map((located) => ({
      ...located,
      object: withNodePorts(located.object, chosen),
    })),
    problems,
    given,
  };
}

/** A node port that a Service needs. */
interface Slot {
  readonly located: Located<Service>;
  readonly key: string;
  readonly field: string;
  readonly protocol: string;
  readonly explicit: number | undefined;
}

function portKey(service: Service, port: ServicePortSpec | "health"): string {
  const part = port === "health" ? port : `${port.name ?? ""}/${port.protocol}/${port.port}`;
  return `${objectKey(service)}/${part}`;
}

function slotsOf(located: Located<Service>): Slot[] {
  const service = located.object;
  const { spec } = service;
  if (spec.type !== "NodePort" && spec.type !== "LoadBalancer") return [];
  const allocates = spec.type === "NodePort" || spec.allocateLoadBalancerNodePorts !== false;
  const slots = spec.ports.flatMap((port, index): Slot[] =>
    allocates || port.nodePort !== undefined
      ? [{
        located,
        key: portKey(service, port),
        field: `spec.ports[${index}].nodePort`,
        protocol: port.protocol,
        explicit: port.nodePort,
      }]
      : []
  );
  if (needsHealthCheck(service)) {
    slots.push({
      located,
      key: portKey(service, "health"),
      field: "spec.healthCheckNodePort",
      protocol: "TCP",
      explicit: spec.healthCheckNodePort,
    });
  }
  return slots;
}

function needsHealthCheck({ spec }: Service): boolean {
  return spec.type === "LoadBalancer" && spec.externalTrafficPolicy === "Local";
}

function withNodePorts(service: Service, chosen: ReadonlyMap<string, number | null>): Service {
  const { ports, healthCheckNodePort: _, ...spec } = service.spec;
  const health = needsHealthCheck(service) ? chosen.get(portKey(service, "health")) : null;
  return {
    ...service,
    spec: {
      ...spec,
      ports: ports.map(({ nodePort: _, ...port }) => {
        const nodePort = chosen.get(portKey(service, port));
        return typeof nodePort === "number" ? { ...port, nodePort } : port;
      }),
      ...(typeof health === "number" && { healthCheckNodePort: health }),
    },
  };
}
