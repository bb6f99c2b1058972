/**
 * What is known of the node around a packet.
 *
 * @module
 */

import { type Family, familyOf, type Network, networkContainsBytes } from "../../net/address.ts";
import type { IpSet } from "./ipset.ts";
import { isLoopback, type Link, LOOPBACK } from "./packet.ts";
import type { Address, Ip } from "./sender.ts";

/** A route, as far as it decides about interface names. */
export interface InterfaceRoute {
  readonly network: Network;
  readonly interface: string;
}

/** A client that a list of the match `recent` holds. */
export interface RecentEntry {
  /** Canonical. */
  readonly address: string;
  readonly secondsAgo: number;
}

/** What the rules are evaluated against. */
export interface World {
  /** The node's own addresses, the primary one of each family first; loopback is added to them. */
  readonly nodeAddresses: readonly string[];
  /** Further addresses that the node has, those of virtual servers. */
  readonly virtualAddresses: ReadonlySet<string>;
  /** Where interface names come from; the longest network that holds an address decides. */
  readonly routes: readonly InterfaceRoute[];
  readonly sets: ReadonlyMap<string, IpSet>;
  /** By list name. */
  readonly recent: ReadonlyMap<string, readonly RecentEntry[]>;
}

/** Whether the node itself has the address, as far as known. */
export function isLocal(address: Ip, world: World): boolean {
  return address.ask(isOwn, world);
}

/** {@link isLocal} as a question. */
export function isOwn(address: Address, world: World): boolean {
  return isLoopback(address) || world.nodeAddresses.includes(address.text) ||
    world.virtualAddresses.has(address.text);
}

/** Whether any address of the node in this family is known. */
export function knowsNode(world: World, family: Family): boolean {
  return world.nodeAddresses.some((address) => familyOf(address) === family);
}

/** The interface behind which an address is found. */
export function linkTo(address: Ip, world: World): Link {
  if (isLocal(address, world)) return LOOPBACK;
  if (world.routes.length === 0) return "unknown";
  const name = address.ask(routedTo, world);
  return name === null ? "unknown" : { name };
}

/** The interface that routes name; null: none. */
function routedTo(address: Address, world: World): string | null {
  let best: InterfaceRoute | null = null;
  for (const route of world.routes) {
    if (!networkContainsBytes(route.network, address.bytes)) continue;
    if (best === null || route.network.prefix > best.network.prefix) best = route;
  }
  return best === null ? null : best.interface;
}
