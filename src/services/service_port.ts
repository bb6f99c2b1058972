/**
 * What of a Service matters to a proxy: its ports, one per IP family, with every address at which
 * clients reach them. The rules are kube-proxy's.
 *
 * @module
 */

import type { Protocol, Service } from "../cluster/objects.ts";
import {
  FAMILIES,
  type Family,
  familyOf,
  formatNetwork,
  parseAddress,
  parseNetwork,
} from "../net/address.ts";

/** One port of a Service in one IP family. */
export interface ServicePort {
  readonly namespace: string;
  readonly service: string;
  /** "" for an unnamed port. */
  readonly portName: string;
  readonly protocol: Protocol;
  readonly family: Family;
  /** Canonical. */
  readonly clusterIP: string;
  readonly port: number;
  /** 0 for none. */
  readonly nodePort: number;
  /** Canonical, in the Service's order. */
  readonly externalIPs: readonly string[];
  /** Load-balancer addresses that the node captures (ipMode VIP), canonical. */
  readonly loadBalancerVIPs: readonly string[];
  /** Canonical "address/prefix"; empty: no restriction in this family. */
  readonly sourceRanges: readonly string[];
  /** Session affinity by client address, in seconds; null for none. */
  readonly affinitySeconds: number | null;
  readonly internalPolicyLocal: boolean;
  readonly externalPolicyLocal: boolean;
}

/** What a Service says about how its backends are chosen. */
export interface Scheduling {
  readonly scheduler?: string;
  readonly flags?: string;
}

/** Annotations of Services that this proxy reads. */
export const SCHEDULER_ANNOTATION = "switchyard.io/ipvs-scheduler";
export const SCHEDULER_FLAGS_ANNOTATION = "switchyard.io/ipvs-scheduler-flags";

/** A Service reduced to what a proxy acts on: equal infos need no work. */
export interface ServiceInfo {
  readonly namespace: string;
  readonly name: string;
  readonly type: Service["spec"]["type"];
  /** clusterIP: None. */
  readonly headless: boolean;
  readonly externalName?: string;
  /** 0 when there is none. */
  readonly healthCheckNodePort: number;
  /** As the annotations have it, of whatever form; absent when they say nothing. */
  readonly scheduling?: Scheduling;
  /** In the Service's order of ports, for each IPv4 before IPv6; empty when nothing is proxied. */
  readonly ports: readonly ServicePort[];
}

/** What kube-proxy takes when a Service with ClientIP affinity names no timeout: three hours. */
export const DEFAULT_AFFINITY_SECONDS = 10800;

/** Most Services have no addresses or networks but their cluster IPs. */
const NONE: readonly string[] = [];

/**
 * Reduces a Service to what is proxied of it in these families.
 *
 * Headless and ExternalName Services, and those whose cluster IP is not yet allocated, have no
 * ports. Addresses and networks that cannot be parsed, or are of another family than the port's,
 * are left out silently, as kube-proxy does; reporting them is the source's task.
 */
export function describeService(service: Service, families: readonly Family[]): ServiceInfo {
  const { metadata, spec } = service;
  const clusterIP = spec.clusterIP ?? spec.clusterIPs?.[0] ?? "";
  const headless = clusterIP === "None";
  const needsHealthCheck = spec.type === "LoadBalancer" && spec.externalTrafficPolicy === "Local";
  const proxied = spec.type !== "ExternalName" && !headless && clusterIP !== "";
  return {
    namespace: metadata.namespace,
    name: metadata.name,
    type: spec.type,
    headless,
    ...(spec.type === "ExternalName" && spec.externalName !== undefined
      ? { externalName: spec.externalName }
      : {}),
    ...annotatedScheduling(metadata.annotations ?? {}),
    healthCheckNodePort: needsHealthCheck ? spec.healthCheckNodePort ?? 0 : 0,
    ports: proxied ? servicePorts(service, clusterIP, families) : [],
  };
}

function annotatedScheduling(
  annotations: Readonly<Record<string, string>>,
): Pick<ServiceInfo, "scheduling"> {
  const { [SCHEDULER_ANNOTATION]: scheduler, [SCHEDULER_FLAGS_ANNOTATION]: flags } = annotations;
  return scheduler === undefined && flags === undefined ? {} : { scheduling: { scheduler, flags } };
}

function servicePorts(
  service: Service,
  clusterIP: string,
  families: readonly Family[],
): ServicePort[] {
  const { metadata, spec } = service;
  const clusterIPs = spec.clusterIPs !== undefined && spec.clusterIPs.length > 0
    ? spec.clusterIPs
    : [clusterIP];
  const perFamily = FAMILIES.filter((family) => families.includes(family)).flatMap((family) => {
    const own = ofFamily(clusterIPs, family)[0];
    if (own === undefined) return [];
    return [{
      family,
      clusterIP: own,
      externalIPs: ofFamily(spec.externalIPs ?? [], family),
      loadBalancerVIPs: ofFamily(virtualIPs(service), family),
      sourceRanges: networksOfFamily(spec.loadBalancerSourceRanges ?? [], family),
    }];
  });
  const affinitySeconds = spec.sessionAffinity === "ClientIP"
    ? spec.sessionAffinityConfig?.clientIP?.timeoutSeconds ?? DEFAULT_AFFINITY_SECONDS
    : null;
  // Ports are identified by name and protocol; of two that share both, the later one counts.
  const ports = new Map(spec.ports.map((port) => [`${port.name ?? ""}/${port.protocol}`, port]));
  return [...ports.values()].flatMap((port) =>
    perFamily.map((addresses) => ({
      namespace: metadata.namespace,
      service: metadata.name,
      portName: port.name ?? "",
      protocol: port.protocol,
      port: port.port,
      nodePort: port.nodePort ?? 0,
      ...addresses,
      affinitySeconds,
      internalPolicyLocal: spec.internalTrafficPolicy === "Local",
      externalPolicyLocal: spec.externalTrafficPolicy === "Local" && mayBeExternal(service),
    }))
  );
}

/** Whether a Service of this type can be dialled from outside, whatever addresses it has yet. */
function mayBeExternal({ spec }: Service): boolean {
  return spec.type === "LoadBalancer" || spec.type === "NodePort" ||
    (spec.externalIPs !== undefined && spec.externalIPs.length > 0);
}

/** Load-balancer addresses for the node to capture; with ipMode Proxy the balancer wants its traffic. */
function virtualIPs(service: Service): string[] {
  return (service.status?.loadBalancer?.ingress ?? []).flatMap(({ ip, ipMode }) =>
    ip !== undefined && (ipMode === undefined || ipMode === "VIP") ? [ip] : []
  );
}

function ofFamily(addresses: readonly string[], family: Family): readonly string[] {
  if (addresses.length === 0) return NONE;
  return addresses.flatMap((text) => {
    const address = parseAddress(text);
    return address !== null && familyOf(address) === family ? [address] : [];
  });
}

function networksOfFamily(networks: readonly string[], family: Family): readonly string[] {
  if (networks.length === 0) return NONE;
  return networks.flatMap((text) => {
    const network = parseNetwork(text.trim());
    return network !== null && network.family === family ? [formatNetwork(network)] : [];
  });
}

/** Whether the port has any address besides its cluster IP. */
export function externallyAccessible(port: ServicePort): boolean {
  return port.nodePort !== 0 || port.loadBalancerVIPs.length > 0 || port.externalIPs.length > 0;
}

/**
 * Whether any traffic goes to the cluster-wide endpoints. With external policy Local, too: pods and
 * the node itself reach every endpoint at external addresses.
 */
export function usesClusterEndpoints(port: ServicePort): boolean {
  return !port.internalPolicyLocal || externallyAccessible(port);
}

/** Whether any traffic goes to this node's endpoints only. */
export function usesLocalEndpoints(port: ServicePort): boolean {
  return port.internalPolicyLocal || (port.externalPolicyLocal && externallyAccessible(port));
}
