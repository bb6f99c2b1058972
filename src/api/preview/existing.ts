/**
 * Services of a plan as the objects that they were, as far as it matters for another one, and what
 * the API server keeps of a Service when it is given anew.
 *
 * @module
 */

import type { Service } from "../../cluster/objects.ts";
import { FAMILIES, type Family } from "../../net/address.ts";
import type { FrontendKind, ServicePlan, ServicePortPlan } from "../../plan/plan.ts";

/** An object that has the addresses and node ports of a planned Service. */
export function existingService(service: ServicePlan): Service {
  const { namespace, name, type, healthCheckNodePort } = service;
  const clusterIPs = clusterIPsOf(service);
  return {
    kind: "Service",
    metadata: { namespace, name },
    spec: {
      type,
      clusterIP: clusterIPs.at(0)?.[1],
      clusterIPs: clusterIPs.map(([, address]) => address),
      ipFamilies: clusterIPs.map(([family]) => family),
      ipFamilyPolicy: "PreferDualStack",
      ports: distinctPorts(service).map((port) => ({
        name: port.portName,
        protocol: port.protocol,
        port: servicePort(port),
        nodePort: nodePortOf(port),
      })),
      allocateLoadBalancerNodePorts: false,
      ...(healthCheckNodePort === 0 ? {} : {
        healthCheckNodePort,
        externalTrafficPolicy: "Local" as const,
      }),
    },
  };
}

/**
 * A Service given anew, with what the API server keeps of the one that is there where the new one
 * leaves it open: cluster IPs, families, node ports, and the status, which clients don't write.
 */
export function keepFields(service: Service, before: ServicePlan): Service {
  const { spec } = service;
  const headless = spec.clusterIP === "None" || spec.clusterIPs?.[0] === "None";
  if (spec.type === "ExternalName" || headless || before.ports.length === 0) return service;
  const kept = clusterIPsOf(before)
    .filter(([family]) => spec.ipFamilies?.includes(family) ?? true)
    .slice(0, spec.ipFamilyPolicy === "SingleStack" ? 1 : 2);
  const asksForAddress = spec.clusterIP !== undefined || spec.clusterIPs !== undefined;
  const ports = new Map(distinctPorts(before).map((port) => [portKey(port), nodePortOf(port)]));
  const health = before.healthCheckNodePort;
  return {
    ...service,
    spec: {
      ...spec,
      ...(asksForAddress ? {} : {
        clusterIP: kept.at(0)?.[1],
        clusterIPs: kept.map(([, address]) => address),
      }),
      ...(spec.ipFamilies !== undefined || asksForAddress ? {} : {
        ipFamilies: kept.map(([family]) => family),
      }),
      ...(spec.ipFamilyPolicy !== undefined || kept.length < 2 || asksForAddress ? {} : {
        ipFamilyPolicy: "PreferDualStack" as const,
      }),
      ports: spec.type === "ClusterIP" ? spec.ports : spec.ports.map((port) => {
        const nodePort = port.nodePort ??
          ports.get(portKey({ portName: port.name ?? "", protocol: port.protocol }));
        return nodePort === undefined ? port : { ...port, nodePort };
      }),
      ...(health === 0 || spec.healthCheckNodePort !== undefined ? {} : {
        healthCheckNodePort: health,
      }),
    },
    ...(service.status === undefined && spec.type === "LoadBalancer"
      ? { status: { loadBalancer: { ingress: addressesOf(before, "LoadBalancer") } } }
      : {}),
  };
}

function addressesOf(service: ServicePlan, kind: FrontendKind): { ip: string }[] {
  const found = service.ports.flatMap(({ frontends }) =>
    frontends.flatMap((frontend) =>
      frontend.kind === kind && frontend.address !== null ? [frontend.address] : []
    )
  );
  return [...new Set(found)].map((ip) => ({ ip }));
}

function clusterIPsOf({ ports }: ServicePlan): [Family, string][] {
  return FAMILIES.flatMap((family): [Family, string][] => {
    const own = ports.filter((port) => port.family === family);
    const found = own.map(clusterIPOf).find((address) => address !== null);
    return found === undefined || found === null ? [] : [[family, found]];
  });
}

function clusterIPOf({ frontends }: ServicePortPlan): string | null {
  return frontends.find(({ kind }) => kind === "ClusterIP")?.address ?? null;
}

function servicePort({ frontends }: ServicePortPlan): number {
  return frontends.find(({ kind }) => kind !== "NodePort")?.port ?? 1;
}

function nodePortOf({ frontends }: ServicePortPlan): number | undefined {
  return frontends.find(({ kind }) => kind === "NodePort")?.port;
}

/** The ports of a Service, each once though it is planned in two families. */
function distinctPorts({ ports }: ServicePlan): ServicePortPlan[] {
  return [...new Map(ports.map((port) => [portKey(port), port])).values()];
}

function portKey({ portName, protocol }: Pick<ServicePortPlan, "portName" | "protocol">): string {
  return `${portName}/${protocol}`;
}
