/**
 * Names of kube-proxy's table, and of the chains, sets and maps in it.
 *
 * Names of nftables may be long, so those of Services and endpoints say whose they are; a hash in
 * front tells those apart that have to be cut.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import type { Backend, ServicePortPlan } from "../../plan/plan.ts";
import { chainHash } from "../iptables/names.ts";
import type { TableFamily } from "./language/ast.ts";

/** The table, one of family ip and one of ip6. */
export const TABLE = "kube-proxy";

/** What the table is there for. */
export const TABLE_COMMENT = "rules for kube-proxy";

/** The tables' family for an IP family. */
export function tableFamily(family: Family): "ip" | "ip6" {
  return family === "IPv4" ? "ip" : "ip6";
}

/** Whether a table is the proxy's, and so everything in it. */
export function isOwnTable(
  table: { readonly family: TableFamily; readonly name: string },
): boolean {
  return table.name === TABLE && (table.family === "ip" || table.family === "ip6");
}

/** Base chains, which hooks call. */
export const BASE_CHAIN = {
  filterPreroutingPreDnat: "filter-prerouting-pre-dnat",
  filterOutputPreDnat: "filter-output-pre-dnat",
  filterInput: "filter-input",
  filterForward: "filter-forward",
  filterOutput: "filter-output",
  natPrerouting: "nat-prerouting",
  natOutput: "nat-output",
  natPostrouting: "nat-postrouting",
} as const;

/** Further chains that exist once. */
export const CHAIN = {
  nodePortEndpointsCheck: "nodeport-endpoints-check",
  serviceEndpointsCheck: "service-endpoints-check",
  firewallCheck: "firewall-check",
  clusterIPsCheck: "cluster-ips-check",
  services: "services",
  masquerading: "masquerading",
  markMasquerade: "mark-for-masquerade",
  reject: "reject-chain",
} as const;

/** Sets and maps that exist once. */
export const SET = {
  clusterIPs: "cluster-ips",
  nodePortIPs: "nodeport-ips",
  serviceIPs: "service-ips",
  serviceNodePorts: "service-nodeports",
  firewallIPs: "firewall-ips",
  noEndpointServices: "no-endpoint-services",
  noEndpointNodePorts: "no-endpoint-nodeports",
} as const;

/** Name of a set or map that exists once. */
export type SetName = typeof SET[keyof typeof SET];

/** The chains of one Service port. */
export interface ServiceChains {
  /** Endpoints for policy Cluster. */
  readonly cluster: string;
  /** Endpoints for policy Local. */
  readonly local: string;
  /** Traffic from outside the cluster. */
  readonly external: string;
  /** Source ranges of load balancers. */
  readonly firewall: string;
}

/** What belongs to one endpoint. */
export interface EndpointNames {
  readonly chain: string;
  /** The set of clients that stay with it. */
  readonly affinity: string;
}

type Port = Pick<ServicePortPlan, "namespace" | "service" | "portName" | "protocol">;

/** Names the chains of a Service port. */
export function serviceChains(port: Port): ServiceChains {
  const base = hashed(portPath(port));
  return {
    cluster: `service-${base}`,
    local: `local-${base}`,
    external: `external-${base}`,
    firewall: `firewall-${base}`,
  };
}

/** Names what belongs to an endpoint of a Service port. */
export function endpointNames(
  port: Port,
  { address, port: number }: Pick<Backend, "address" | "port">,
): EndpointNames {
  // Names cannot have colons.
  const base = hashed(`${portPath(port)}__${address.replaceAll(":", ".")}/${number}`);
  return { chain: `endpoint-${base}`, affinity: `affinity-${base}` };
}

/** An unnamed port leaves its part empty. */
function portPath({ namespace, service, portName, protocol }: Port): string {
  return `${namespace}/${service}/${protocol.toLowerCase()}/${portName}`;
}

/** What the kernel allows in bytes, less 16 for what stands in front. */
const LONGEST_BASE = 240;
const HASH_LENGTH = 8;

function hashed(text: string): string {
  const base = `${chainHash(text).slice(0, HASH_LENGTH)}-${text}`;
  return base.length <= LONGEST_BASE ? base : `${base.slice(0, LONGEST_BASE - 3)}...`;
}
