/**
 * The plan: what every data plane, the engine and every query work from.
 *
 * Plain data, JSON-serialisable and structured-cloneable. All of Kubernetes' rules about topology,
 * traffic policies, terminating endpoints and masquerade are already decided in it: for every
 * frontend it says, by class of source, what happens to a new connection.
 *
 * @module
 */

import { flat } from "../flat_text.ts";
import type { Family } from "../net/address.ts";
import type { Protocol } from "../cluster/objects.ts";

/** What a frontend is in Kubernetes' terms. */
export type FrontendKind = "ClusterIP" | "NodePort" | "ExternalIP" | "LoadBalancer";

/** Names of Linux's IPVS schedulers, and random (what kube-proxy's iptables mode does). */
export type SchedulerName =
  | "rr"
  | "wrr"
  | "lc"
  | "wlc"
  | "lblc"
  | "lblcr"
  | "dh"
  | "sh"
  | "sed"
  | "nq"
  | "fo"
  | "ovf"
  | "mh"
  | "twos"
  | "random";

/**
 * What a scheduler may be told, as `ipvsadm --sched-flags` names it: to try another backend where the
 * hash leads to one of weight 0, to hash the client's port too.
 */
export type SchedulerFlagName = "sh-fallback" | "sh-port" | "mh-fallback" | "mh-port";

/**
 * Where a packet comes from, as seen by this node; the first that fits holds:
 * `pod` – an address that the local traffic detector recognises (with `--cluster-cidr`: any in it);
 * `node` – an address of this node itself (addrtype LOCAL, loopback included);
 * `outside` – everything else.
 */
export type SourceClass = "pod" | "node" | "outside";

/** An endpoint as a frontend uses it. */
export interface Backend {
  /** Canonical address. */
  readonly address: string;
  readonly port: number;
  /** ≥ 0; 0 takes no new connections. */
  readonly weight: number;
  readonly ready: boolean;
  readonly serving: boolean;
  readonly terminating: boolean;
  /** On this node. */
  readonly local: boolean;
  readonly node?: string;
  readonly zone?: string;
  /** "namespace/name" of the pod, where the EndpointSlice says so. */
  readonly pod?: string;
}

/** What happens to a new connection. */
export type Route =
  | {
    readonly action: "forward";
    /** Which of the service port's two lists is used. */
    readonly to: "cluster" | "local";
    /** Rewrite the source to the node's. Hairpin (source = chosen backend) always does. */
    readonly masquerade: boolean;
  }
  /** Refused at once: TCP RST or ICMP port unreachable. */
  | { readonly action: "reject" }
  /** Silently dropped. */
  | { readonly action: "drop" };

/** An address and port that clients dial. */
export interface Frontend {
  readonly kind: FrontendKind;
  /** Canonical address; null for a node port, which is on every address of {@link NodeInfo.nodePortAddresses}. */
  readonly address: string | null;
  readonly port: number;
  /** What happens, by class of source. */
  readonly routes: Readonly<Record<SourceClass, Route>>;
  /**
   * Networks ("10.0.0.0/8") whose sources may use this frontend, whatever their class; all others are
   * dropped before the routes count. Null: no restriction. Only load-balancer addresses have it.
   */
  readonly sourceRanges: readonly string[] | null;
}

/** One port of a Service in one IP family, with its frontends and the endpoints behind them. */
export interface ServicePortPlan {
  readonly namespace: string;
  readonly service: string;
  /** "" for an unnamed port. */
  readonly portName: string;
  readonly protocol: Protocol;
  readonly family: Family;
  readonly scheduler: SchedulerName;
  /** Absent: none. */
  readonly schedulerFlags?: readonly SchedulerFlagName[];
  /** Session affinity by client address, in seconds; null for none. */
  readonly affinitySeconds: number | null;
  readonly internalTrafficPolicy: "Cluster" | "Local";
  readonly externalTrafficPolicy: "Cluster" | "Local";
  /** Backends for policy Cluster, sorted by "address:port" as bytes. */
  readonly cluster: readonly Backend[];
  /** Backends for policy Local, sorted likewise. */
  readonly local: readonly Backend[];
  /** Every endpoint of the port, usable or not, sorted likewise: for queries and conntrack cleanup. */
  readonly endpoints: readonly Backend[];
  /** Whether any endpoint anywhere is usable: decides between drop and reject. */
  readonly hasEndpoints: boolean;
  readonly frontends: readonly Frontend[];
}

/** A Service as planned. Headless and ExternalName Services are here too, with no ports. */
export interface ServicePlan {
  readonly namespace: string;
  readonly name: string;
  readonly type: "ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName";
  /** clusterIP: None. */
  readonly headless: boolean;
  readonly externalName?: string;
  /** In the Service's order of ports; for each IPv4 before IPv6. */
  readonly ports: readonly ServicePortPlan[];
  /** 0 when there is none. */
  readonly healthCheckNodePort: number;
  /** Distinct addresses of ready endpoints on this node, for the health check node port. */
  readonly localReadyEndpoints: number;
}

/** The node that the plan is for. Addresses are canonical, networks "address/prefix". */
export interface NodeInfo {
  readonly name: string;
  /** The node's own addresses, the primary one of each family first; loopback not included. */
  readonly addresses: readonly string[];
  /** Those on which node ports answer (`--nodeport-addresses` applied). */
  readonly nodePortAddresses: readonly string[];
  /** Networks of local pods (`--cluster-cidr`, or the node's podCIDRs); empty: no detection. */
  readonly podNetworks: readonly string[];
}

/** The whole plan. The maps are live views: read them, don't keep them. */
export interface Plan {
  readonly node: NodeInfo;
  /** By "namespace/name". */
  readonly services: ReadonlyMap<string, ServicePlan>;
  /** Networks that cluster IPs are taken from, sorted, as far as the cluster tells. */
  readonly serviceNetworks?: readonly string[];
}

/** What one step changed in a plan. */
export interface PlanChange extends ServiceChanges {
  /** The node's info is new (always so in the first change). */
  readonly node: NodeInfo | null;
}

/** How Services of a plan change. */
export interface ServiceChanges {
  /** Services that are new or different. */
  readonly updated: readonly ServicePlan[];
  /** "namespace/name" of Services that are gone. */
  readonly removed: readonly string[];
}

/** "namespace/name": by what {@link Plan.services} knows a Service. */
export function serviceKey({ namespace, name }: Pick<ServicePlan, "namespace" | "name">): string {
  return `${namespace}/${name}`;
}

/** The keys of the Services that a change is about, those that are gone behind the others. */
export function touchedServices({ updated, removed }: ServiceChanges): Set<string> {
  return new Set([...updated.map(serviceKey), ...removed]);
}

/** "namespace/name" or "namespace/name:port": kube-proxy's service port name. */
export function servicePortName(
  port: Pick<ServicePortPlan, "namespace" | "service" | "portName">,
): string {
  const { namespace, service, portName } = port;
  return portName === ""
    ? flat`${namespace}/${service}`
    : flat`${namespace}/${service}:${portName}`;
}
