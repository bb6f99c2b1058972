/**
 * Names of ipvs mode: kube-proxy's sets and chains with the texts that its rules carry, and a few of
 * our own beside them, for what kube-proxy's ipvs mode leaves undone.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import { CHAIN as SHARED } from "../iptables/names.ts";
import type { TableName } from "../iptables/rules.ts";
import type { IpSetType } from "./state.ts";

/** Chains, in filter, in nat or in both. */
export const CHAIN = {
  services: SHARED.services,
  postrouting: SHARED.postrouting,
  markMasquerade: SHARED.markMasquerade,
  forward: SHARED.forward,
  proxyFirewall: SHARED.proxyFirewall,
  canary: SHARED.canary,
  /** In nat what is masqueraded at node ports, in filter the health checks. */
  nodePort: "KUBE-NODE-PORT",
  loadBalancer: "KUBE-LOAD-BALANCER",
  sourceRanges: "KUBE-SOURCE-RANGES-FIREWALL",
  /** Keeps what listens on this node from being reached at Services' addresses. */
  filter: "KUBE-IPVS-FILTER",
  outFilter: "KUBE-IPVS-OUT-FILTER",
  /** Ours: refuses and drops what has no endpoint to go to. */
  policy: "KUBE-IPVS-POLICY",
  /** Ours: leads to the cluster IP, behind which there is the other list of endpoints. */
  shortCircuit: "KUBE-IPVS-SHORT-CIRCUIT",
} as const;

/** The chains of each table, in the order in which they are written. */
export const CHAINS: Readonly<Record<TableName, readonly string[]>> = {
  nat: [
    CHAIN.services,
    CHAIN.postrouting,
    CHAIN.nodePort,
    CHAIN.loadBalancer,
    CHAIN.markMasquerade,
    CHAIN.shortCircuit,
  ],
  filter: [
    CHAIN.forward,
    CHAIN.nodePort,
    CHAIN.proxyFirewall,
    CHAIN.sourceRanges,
    CHAIN.filter,
    CHAIN.outFilter,
    CHAIN.policy,
  ],
};

/** A set as kube-proxy knows it; `name` is that of the IPv4 one. */
interface SetDefinition {
  readonly name: string;
  readonly type: IpSetType;
  /** The comment of rules that use it. */
  readonly text: string;
}

const set = (name: string, type: IpSetType, text: string): SetDefinition => ({ name, type, text });

/** Every set, in the order in which they are made. */
export const SETS = {
  loopBack: set(
    "KUBE-LOOP-BACK",
    "hash:ip,port,ip",
    "Kubernetes endpoints dst ip:port, source ip for solving hairpin purpose",
  ),
  clusterIP: set(
    "KUBE-CLUSTER-IP",
    "hash:ip,port",
    "Kubernetes service cluster ip + port for masquerade purpose",
  ),
  externalIP: set(
    "KUBE-EXTERNAL-IP",
    "hash:ip,port",
    "Kubernetes service external ip + port for masquerade and filter purpose",
  ),
  externalIPLocal: set(
    "KUBE-EXTERNAL-IP-LOCAL",
    "hash:ip,port",
    "Kubernetes service external ip + port with externalTrafficPolicy=local",
  ),
  loadBalancer: set("KUBE-LOAD-BALANCER", "hash:ip,port", "Kubernetes service lb portal"),
  loadBalancerLocal: set(
    "KUBE-LOAD-BALANCER-LOCAL",
    "hash:ip,port",
    "Kubernetes service load balancer ip + port with externalTrafficPolicy=local",
  ),
  loadBalancerFirewall: set(
    "KUBE-LOAD-BALANCER-FW",
    "hash:ip,port",
    "Kubernetes service load balancer ip + port for load balancer with sourceRange",
  ),
  sourceCIDR: set(
    "KUBE-LOAD-BALANCER-SOURCE-CIDR",
    "hash:ip,port,net",
    "Kubernetes service load balancer ip + port + source cidr for packet filter purpose",
  ),
  sourceIP: set(
    "KUBE-LOAD-BALANCER-SOURCE-IP",
    "hash:ip,port,ip",
    "Kubernetes service load balancer ip + port + source IP for packet filter purpose",
  ),
  nodePortTCP: set(
    "KUBE-NODE-PORT-TCP",
    "bitmap:port",
    "Kubernetes nodeport TCP port for masquerade purpose",
  ),
  nodePortLocalTCP: set(
    "KUBE-NODE-PORT-LOCAL-TCP",
    "bitmap:port",
    "Kubernetes nodeport TCP port with externalTrafficPolicy=local",
  ),
  nodePortUDP: set(
    "KUBE-NODE-PORT-UDP",
    "bitmap:port",
    "Kubernetes nodeport UDP port for masquerade purpose",
  ),
  nodePortLocalUDP: set(
    "KUBE-NODE-PORT-LOCAL-UDP",
    "bitmap:port",
    "Kubernetes nodeport UDP port with externalTrafficPolicy=local",
  ),
  nodePortSCTP: set(
    "KUBE-NODE-PORT-SCTP-HASH",
    "hash:ip,port",
    "Kubernetes nodeport SCTP port for masquerade purpose with type 'hash ip:port'",
  ),
  nodePortLocalSCTP: set(
    "KUBE-NODE-PORT-LOCAL-SCTP-HASH",
    "hash:ip,port",
    "Kubernetes nodeport SCTP port with externalTrafficPolicy=local with type 'hash ip:port'",
  ),
  healthCheck: set(
    "KUBE-HEALTH-CHECK-NODE-PORT",
    "bitmap:port",
    "Kubernetes health check node port",
  ),
  addresses: set("KUBE-IPVS-IPS", "hash:ip", "Addresses on the ipvs interface"),
  // The rest is ours.
  reject: set("KUBE-REJECT", "hash:ip,port", "Kubernetes service ip + port without endpoints"),
  drop: set(
    "KUBE-DROP",
    "hash:ip,port",
    "Kubernetes service ip + port without endpoints on this node",
  ),
  dropOutside: set(
    "KUBE-DROP-OUTSIDE",
    "hash:ip,port",
    "Kubernetes service ip + port without endpoints on this node for traffic from outside",
  ),
  allInside: set(
    "KUBE-ALL-INSIDE",
    "hash:ip,port",
    "Kubernetes service ip + port where pods and this node reach all endpoints",
  ),
  localOutside: set(
    "KUBE-LOCAL-OUTSIDE",
    "hash:ip,port",
    "Kubernetes service ip + port where traffic from outside reaches endpoints on this node only",
  ),
} as const satisfies Readonly<Record<string, SetDefinition>>;

/** Which set. */
export type SetId = keyof typeof SETS;

/** All sets, in order. */
export const SET_IDS = Object.keys(SETS) as readonly SetId[];

/** Entries that a set takes, as kube-proxy makes them. */
export const SET_CAPACITY = 65_536;

/** Entries that a set is made for which is to have so many: some more, so that it lasts. */
export function setCapacity(entries: number): number {
  let capacity = SET_CAPACITY;
  while (capacity < entries) capacity *= 2;
  return capacity;
}

/** ipset's limit (IPSET_MAXNAMELEN without the final NUL). */
const NAME_LENGTH = 31;

/** The name of a set in a family: "KUBE-CLUSTER-IP", "KUBE-6-CLUSTER-IP". */
export function setName(id: SetId, family: Family): string {
  const { name } = SETS[id];
  return family === "IPv4" ? name : name.replace(/^KUBE-/, "KUBE-6-").slice(0, NAME_LENGTH);
}

/** Sets of former versions of kube-proxy, which are only ever removed. */
export const FORMER_SETS: readonly string[] = [
  "KUBE-NODE-PORT-SCTP",
  "KUBE-NODE-PORT-LOCAL-SCTP",
  "KUBE-6-NODE-PORT-SCTP",
  "KUBE-6-NODE-PORT-LOCAL-SCTP",
];
