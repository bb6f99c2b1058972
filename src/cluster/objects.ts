/**
 * The Kubernetes objects that Switchyard works with, reduced to the fields it reads.
 *
 * Names and nesting are the Kubernetes API's. Objects are plain, immutable by convention and
 * already validated: every source (manifests, API server) validates at its edge and keeps nothing
 * but these fields, so 100,000 endpoints stay small.
 *
 * @module
 */

import type { Family } from "../net/address.ts";

/** Transport protocols of Service ports. */
export type Protocol = "TCP" | "UDP" | "SCTP";

/** The part of ObjectMeta that is read. */
export interface Metadata {
  readonly name: string;
  /** "default" when a namespaced manifest leaves it out; absent on cluster-scoped objects. */
  readonly namespace?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly uid?: string;
  readonly resourceVersion?: string;
  readonly deletionTimestamp?: string;
  /** Kept for pods and workloads only. */
  readonly ownerReferences?: readonly {
    readonly kind: string;
    readonly name: string;
    readonly controller?: boolean;
  }[];
}

/** One port of a Service (core/v1 ServicePort). */
export interface ServicePortSpec {
  readonly name?: string;
  readonly protocol: Protocol;
  readonly port: number;
  readonly targetPort?: number | string;
  readonly nodePort?: number;
  readonly appProtocol?: string;
}

/** core/v1 Service. */
export interface Service {
  readonly kind: "Service";
  readonly metadata: Metadata & { readonly namespace: string };
  readonly spec: {
    readonly type: "ClusterIP" | "NodePort" | "LoadBalancer" | "ExternalName";
    readonly clusterIP?: string;
    readonly clusterIPs?: readonly string[];
    readonly ipFamilies?: readonly Family[];
    readonly ipFamilyPolicy?: "SingleStack" | "PreferDualStack" | "RequireDualStack";
    readonly selector?: Readonly<Record<string, string>>;
    readonly ports: readonly ServicePortSpec[];
    readonly externalIPs?: readonly string[];
    readonly externalName?: string;
    readonly loadBalancerSourceRanges?: readonly string[];
    readonly allocateLoadBalancerNodePorts?: boolean;
    readonly sessionAffinity?: "None" | "ClientIP";
    readonly sessionAffinityConfig?: { readonly clientIP?: { readonly timeoutSeconds?: number } };
    readonly externalTrafficPolicy?: "Cluster" | "Local";
    readonly internalTrafficPolicy?: "Cluster" | "Local";
    readonly healthCheckNodePort?: number;
    readonly publishNotReadyAddresses?: boolean;
    readonly trafficDistribution?: string;
  };
  readonly status?: {
    readonly loadBalancer?: {
      readonly ingress?: readonly {
        readonly ip?: string;
        readonly hostname?: string;
        readonly ipMode?: string;
      }[];
    };
  };
}

/** One endpoint of an EndpointSlice (discovery.k8s.io/v1 Endpoint). */
export interface SliceEndpoint {
  readonly addresses: readonly string[];
  readonly conditions?: {
    readonly ready?: boolean;
    readonly serving?: boolean;
    readonly terminating?: boolean;
  };
  readonly hostname?: string;
  readonly nodeName?: string;
  readonly zone?: string;
  readonly targetRef?: {
    readonly kind?: string;
    readonly namespace?: string;
    readonly name?: string;
  };
  readonly hints?: {
    readonly forZones?: readonly { readonly name: string }[];
    readonly forNodes?: readonly { readonly name: string }[];
  };
}

/** discovery.k8s.io/v1 EndpointSlice; its Service is named by a label, see {@link SERVICE_NAME_LABEL}. */
export interface EndpointSlice {
  readonly kind: "EndpointSlice";
  readonly metadata: Metadata & { readonly namespace: string };
  readonly addressType: Family | "FQDN";
  readonly endpoints: readonly SliceEndpoint[];
  readonly ports: readonly {
    readonly name?: string;
    readonly protocol?: Protocol;
    readonly port?: number;
  }[];
}

/** core/v1 Node. */
export interface Node {
  readonly kind: "Node";
  readonly metadata: Metadata;
  readonly spec?: {
    readonly podCIDRs?: readonly string[];
    readonly taints?: readonly { readonly key: string; readonly effect?: string }[];
  };
  readonly status?: {
    readonly addresses?: readonly { readonly type: string; readonly address: string }[];
  };
}

/** networking.k8s.io/v1 ServiceCIDR: networks that cluster IPs are taken from. */
export interface ServiceCIDR {
  readonly kind: "ServiceCIDR";
  readonly metadata: Metadata;
  readonly spec: {
    /** Canonical, at most one a family. */
    readonly cidrs: readonly string[];
  };
}

/** networking.k8s.io/v1 Ingress, kept for the ingress controller to come. */
export interface Ingress {
  readonly kind: "Ingress";
  readonly metadata: Metadata & { readonly namespace: string };
  readonly spec: Readonly<Record<string, unknown>>;
}

/** core/v1 Pod; not part of what a source reports, only of what slices are computed from. */
export interface Pod {
  readonly kind: "Pod";
  readonly metadata: Metadata & { readonly namespace: string };
  readonly spec: {
    readonly nodeName?: string;
    readonly hostname?: string;
    readonly subdomain?: string;
    readonly hostNetwork?: boolean;
    /** Containers that serve while the pod runs, sidecars included. */
    readonly containers: readonly {
      readonly name: string;
      readonly ports: readonly {
        readonly name?: string;
        readonly containerPort: number;
        readonly protocol: Protocol;
      }[];
    }[];
  };
  readonly status: {
    readonly phase?: string;
    /** Canonical addresses, at most one a family. */
    readonly podIPs: readonly string[];
    readonly conditions?: readonly { readonly type: string; readonly status: string }[];
  };
}

/** Everything a source may report. */
export type ClusterObject = Service | EndpointSlice | Node | ServiceCIDR | Ingress;

/** Label on an EndpointSlice that names its Service. */
export const SERVICE_NAME_LABEL = "kubernetes.io/service-name";
/** Label whose presence, with any value, takes an object away from the default proxy. */
export const PROXY_NAME_LABEL = "service.kubernetes.io/service-proxy-name";
/** Label whose presence, with any value, says that no proxying is wanted. */
export const HEADLESS_LABEL = "service.kubernetes.io/headless";
/** Node label that holds the topology zone. */
export const ZONE_LABEL = "topology.kubernetes.io/zone";

/** "namespace/name", or just the name of a cluster-scoped object. */
export function objectKey(object: { readonly metadata: Metadata }): string {
  const { namespace, name } = object.metadata;
  return namespace === undefined ? name : `${namespace}/${name}`;
}
