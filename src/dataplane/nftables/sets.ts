/**
 * The sets and maps of kube-proxy's table, as they are declared.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import type { NamedSet } from "./language/ast.ts";
import { SET, type SetName } from "./names.ts";
import type { SetDeclaration } from "./transaction.ts";

/** nft gives it to dynamic sets that are declared without a size. */
const DYNAMIC_SIZE = 65535;

const UNDECLARED = {
  typeof: null,
  flags: [],
  timeout: null,
  gcInterval: null,
  size: null,
  policy: null,
  autoMerge: false,
  statements: [],
} as const;

/** The sets and maps that exist once, in kube-proxy's order, without `nodeport-ips`. */
export function fixedSets(family: Family): SetDeclaration[] {
  const port = ["inet_proto", "inet_service"];
  const service = [addressType(family), ...port];
  const map = (name: SetName, key: readonly string[], comment: string) =>
    declare(name, key, ["verdict"], comment);
  return [
    declare(SET.clusterIPs, [addressType(family)], null, "Active ClusterIPs"),
    map(
      SET.noEndpointServices,
      service,
      "vmap to drop or reject packets to services with no endpoints",
    ),
    map(
      SET.noEndpointNodePorts,
      port,
      "vmap to drop or reject packets to service nodeports with no endpoints",
    ),
    map(
      SET.firewallIPs,
      service,
      "destinations that are subject to LoadBalancerSourceRanges",
    ),
    map(SET.serviceIPs, service, "ClusterIP, ExternalIP and LoadBalancer IP traffic"),
    map(SET.serviceNodePorts, port, "NodePort traffic"),
  ];
}

/** The set of addresses on which node ports answer, where not all do. */
export function nodePortSet(family: Family): SetDeclaration {
  return declare(SET.nodePortIPs, [addressType(family)], null, "IPs that accept NodePort traffic");
}

/** A set of clients that stay with an endpoint until they were silent for so many seconds. */
export function affinitySet(family: Family, name: string, seconds: number): SetDeclaration {
  return {
    ...declare(name, [addressType(family)], null, null),
    size: DYNAMIC_SIZE,
    flags: ["dynamic", "timeout"],
    timeout: seconds * 1000,
  };
}

/** A set or map without what is in it. */
export function declarationOf(set: NamedSet): SetDeclaration {
  const { elements: _elements, handle: _handle, ...declaration } = set;
  return declaration;
}

function declare(
  name: string,
  key: readonly string[],
  data: readonly string[] | null,
  comment: string | null,
): SetDeclaration {
  return { ...UNDECLARED, name, key, data, comment };
}

function addressType(family: Family): string {
  return family === "IPv4" ? "ipv4_addr" : "ipv6_addr";
}
