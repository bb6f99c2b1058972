/**
 * On which addresses of a node health check node ports answer: those of all node ports.
 *
 * @module
 */

import {
  type Family,
  familyOf,
  type Network,
  networkContains,
  parseNetwork,
} from "../net/address.ts";
import type { NodeInfo } from "../plan/plan.ts";

/** Every address of both families, where the kernel has both; else every IPv4 address. */
export const EVERY_ADDRESS = "::";
/** Every IPv4 address. */
export const EVERY_IPV4_ADDRESS = "0.0.0.0";

/**
 * Addresses to listen on: {@link EVERY_ADDRESS} or {@link EVERY_IPV4_ADDRESS} alone or beside
 * addresses of the other family, such that none is in the way of another.
 *
 * @param configured `--nodeport-addresses`: networks, or the single word "primary". As in kube-proxy,
 * a family of which no network is given, or one with prefix 0, answers on all its addresses.
 */
export function listenAddresses(
  node: NodeInfo,
  configured: readonly string[],
  families: readonly Family[],
): readonly string[] {
  const open = families.filter((family) => answersEverywhere(family, node, configured));
  if (open.length === families.length) {
    return open.includes("IPv6") ? [EVERY_ADDRESS] : [EVERY_IPV4_ADDRESS];
  }
  // The unspecified address of IPv6 takes those of IPv4 with it, so it cannot stand beside them.
  return families.flatMap((family) =>
    family === "IPv4" && open.includes("IPv4")
      ? [EVERY_IPV4_ADDRESS]
      : [...loopback(family, configured), ...ofFamily(node.nodePortAddresses, family)]
  );
}

const LOOPBACK: Readonly<Record<Family, string>> = { IPv4: "127.0.0.1", IPv6: "::1" };

/** The plan leaves loopback addresses out. */
function loopback(family: Family, configured: readonly string[]): readonly string[] {
  const address = LOOPBACK[family];
  return networksOf(family, configured).some((network) => networkContains(network, address))
    ? [address]
    : [];
}

function answersEverywhere(
  family: Family,
  node: NodeInfo,
  configured: readonly string[],
): boolean {
  if (configured.length === 1 && configured[0] === "primary") {
    return ofFamily(node.addresses, family).length === 0;
  }
  const networks = networksOf(family, configured);
  return networks.length === 0 || networks.some(({ prefix }) => prefix === 0);
}

function networksOf(family: Family, configured: readonly string[]): Network[] {
  return configured.map(parseNetwork)
    .filter((network) => network !== null)
    .filter((network) => network.family === family);
}

function ofFamily(addresses: readonly string[], family: Family): string[] {
  return addresses.filter((address) => familyOf(address) === family);
}
