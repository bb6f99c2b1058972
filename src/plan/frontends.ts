/**
 * The frontends that a Service asks for.
 *
 * @module
 */

import { type Family, formatSocketAddress, networkContains, parseNetwork } from "../net/address.ts";
import type { Protocol } from "../cluster/objects.ts";
import type { ServiceInfo, ServicePort } from "../services/service_port.ts";
import type { FrontendKind } from "./plan.ts";

/** An address and port of a Service port, before it is known whether another Service has it. */
export interface FrontendRequest {
  readonly kind: FrontendKind;
  /** Null for a node port. */
  readonly address: string | null;
  readonly port: number;
  /** Same for two requests exactly when both cannot be served. */
  readonly key: string;
}

/** Identifies a frontend among all of a node: "10.0.0.1:80/TCP". */
export function frontendKey(address: string, port: number, protocol: Protocol): string {
  return `${formatSocketAddress(address, port)}/${protocol}`;
}

/** Identifies a node port, which is on many addresses: "IPv4 node port 30007/TCP". */
export function nodePortKey(family: Family, port: number, protocol: Protocol): string {
  return `${family} node port ${port}/${protocol}`;
}

/** What a Service port asks for: cluster IP, external IPs, load-balancer VIPs, node port. */
export function requestedFrontends(port: ServicePort): FrontendRequest[] {
  const at = (kind: FrontendKind, address: string): FrontendRequest => ({
    kind,
    address,
    port: port.port,
    key: frontendKey(address, port.port, port.protocol),
  });
  const requests = [
    at("ClusterIP", port.clusterIP),
    ...[...new Set(port.externalIPs)].map((address) => at("ExternalIP", address)),
    ...[...new Set(port.loadBalancerVIPs)].map((address) => at("LoadBalancer", address)),
  ];
  if (port.nodePort !== 0) {
    const key = nodePortKey(port.family, port.nodePort, port.protocol);
    requests.push({ kind: "NodePort", address: null, port: port.nodePort, key });
  }
  return requests;
}

/** Keys of all frontends that a Service asks for. */
export function requestedKeys(info: ServiceInfo): Set<string> {
  return new Set(info.ports.flatMap(requestedFrontends).map((request) => request.key));
}

/**
 * The sources that a port's load-balancer addresses accept; null for all.
 *
 * When the ranges admit the node, the VIPs themselves are admitted too: the node's own packets to
 * a VIP that is bound to one of its interfaces carry it as their source.
 */
export function admittedSources(port: ServicePort, nodeAddress: string): string[] | null {
  if (port.sourceRanges.length === 0) return null;
  const admitsNode = port.sourceRanges.some((range) =>
    networkContains(parseNetwork(range)!, nodeAddress)
  );
  const width = port.family === "IPv4" ? 32 : 128;
  const vips = admitsNode ? port.loadBalancerVIPs.map((vip) => `${vip}/${width}`) : [];
  return [...new Set([...port.sourceRanges, ...vips])];
}
