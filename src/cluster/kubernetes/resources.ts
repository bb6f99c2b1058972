/**
 * What is asked of the API server.
 *
 * @module
 */

import { HEADLESS_LABEL, PROXY_NAME_LABEL } from "../objects.ts";

/** A collection of the API, or a part of one. */
export interface Resource {
  readonly kind: string;
  readonly apiVersion: string;
  /** "/api/v1/services" */
  readonly path: string;
  /** labelSelector or fieldSelector, if only some objects are wanted. */
  readonly selector: Readonly<Record<string, string>>;
  /** An API server that does not have it, or does not let us see it, is as good as one without any. */
  readonly optional?: boolean;
}

/** The objects that this proxy is not told to leave alone: both labels must be absent. */
const PROXIED = { labelSelector: `!${PROXY_NAME_LABEL},!${HEADLESS_LABEL}` };

export const SERVICES: Resource = {
  kind: "Service",
  apiVersion: "v1",
  path: "/api/v1/services",
  selector: PROXIED,
};

export const ENDPOINT_SLICES: Resource = {
  kind: "EndpointSlice",
  apiVersion: "discovery.k8s.io/v1",
  path: "/apis/discovery.k8s.io/v1/endpointslices",
  selector: PROXIED,
};

/** Known to API servers since 1.31; forwarding does not depend on them. */
export const SERVICE_CIDRS: Resource = {
  kind: "ServiceCIDR",
  apiVersion: "networking.k8s.io/v1",
  path: "/apis/networking.k8s.io/v1/servicecidrs",
  selector: {},
  optional: true,
};

/** One Node, as a collection of at most one: so it can be watched before it exists. */
export function nodeResource(name: string): Resource {
  return {
    kind: "Node",
    apiVersion: "v1",
    path: "/api/v1/nodes",
    selector: { fieldSelector: `metadata.name=${name}` },
  };
}
