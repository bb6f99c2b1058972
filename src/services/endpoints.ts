/**
 * The endpoints of a Service port, merged from its Service's slices.
 *
 * @module
 */

import type { Protocol } from "../cluster/objects.ts";
import type { Family } from "../net/address.ts";
import type { EndpointInfo, SliceInfo } from "./slices.ts";

/** An endpoint at one port. */
export interface Endpoint extends EndpointInfo {
  readonly port: number;
}

/** What identifies a Service port among the ports of its slices. */
export interface PortSelector {
  readonly portName: string;
  readonly protocol: Protocol;
  readonly family: Family;
}

/**
 * Every endpoint behind a Service port, sorted by its "address:port" as bytes.
 *
 * Slices are joined by port name and protocol, never by number. Where slices repeat an
 * "address:port", as they do while an endpoint moves from one to another, a later one replaces an
 * earlier one unless the later is terminating; slices count in the order of their names, so the
 * result does not depend on the order in which they were seen.
 */
export function mergeEndpoints(
  slices: ReadonlyMap<string, SliceInfo>,
  selector: PortSelector,
): Endpoint[] {
  const merged: Endpoint[] = [];
  for (const endpoint of endpointsAt(slices, selector).sort(bySocketAddress)) {
    const before = merged.at(-1);
    if (before === undefined || bySocketAddress(before, endpoint) !== 0) merged.push(endpoint);
    else if (!endpoint.terminating) merged[merged.length - 1] = endpoint;
  }
  return merged;
}

/** Every endpoint of every slice that serves a port, in the order of the slices' names. */
function endpointsAt(
  slices: ReadonlyMap<string, SliceInfo>,
  { portName, protocol, family }: PortSelector,
): Endpoint[] {
  const found: Endpoint[] = [];
  for (const name of [...slices.keys()].sort()) {
    const slice = slices.get(name)!;
    if (slice.family !== family) continue;
    for (const port of slice.ports) {
      if (port.name !== portName || port.protocol !== protocol) continue;
      for (const endpoint of slice.endpoints) found.push({ ...endpoint, port: port.port });
    }
  }
  return found;
}

/**
 * The order of "address:port" and "[address]:port" as bytes, for addresses of one family, without
 * putting these texts together.
 */
function bySocketAddress(one: Endpoint, other: Endpoint): number {
  const [a, b] = [one.address, other.address];
  if (a === b) return order(String(one.port), String(other.port));
  // What ends an address counts where the other one goes on.
  const end = a.includes(":") ? "]" : ":";
  if (b.startsWith(a)) return order(end, b[a.length]);
  if (a.startsWith(b)) return order(a[b.length], end);
  return order(a, b);
}

function order(a: string, b: string): number {
  return a === b ? 0 : a < b ? -1 : 1;
}

/**
 * How many distinct addresses of a node are ready, over all ports and protocols, in the family that has
 * most of them: what the Service's health check node port reports. Pods of both families are counted
 * once, as kube-proxy has a count for each family. Endpoints that terminate do not count, even where
 * they still get traffic.
 */
export function countReadyAddresses(
  slices: ReadonlyMap<string, SliceInfo>,
  nodeName: string,
): number {
  // On most nodes, most Services have no endpoint, and there is nothing to merge.
  const all = [...slices.values()];
  const isHere = ({ ready, node }: EndpointInfo) => ready && isOnNode(node, nodeName);
  if (!all.some(({ endpoints }) => endpoints.some(isHere))) return 0;
  const selectors = new Map<string, PortSelector>();
  for (const { family, ports } of all) {
    for (const { name, protocol } of ports) {
      selectors.set(`${name}/${protocol}/${family}`, { portName: name, protocol, family });
    }
  }
  const addresses: Readonly<Record<Family, Set<string>>> = { IPv4: new Set(), IPv6: new Set() };
  for (const selector of selectors.values()) {
    for (const endpoint of mergeEndpoints(slices, selector)) {
      if (isHere(endpoint)) addresses[selector.family].add(endpoint.address);
    }
  }
  return Math.max(addresses.IPv4.size, addresses.IPv6.size);
}

/** Whether an endpoint's node is the one named. */
export function isOnNode(node: string | undefined, nodeName: string): boolean {
  return nodeName !== "" && node === nodeName;
}
