/**
 * Names of kube-proxy's chains.
 *
 * A chain's name has at most 28 characters, so those of Services and endpoints end in a hash: the
 * first 16 characters of the base32 (RFC 4648) of a SHA-256.
 *
 * @module
 */

import { createHash } from "node:crypto";
import { formatSocketAddress } from "../../net/address.ts";
import { type Backend, servicePortName, type ServicePortPlan } from "../../plan/plan.ts";

/** Chains that exist once, in filter, in nat or in both. */
export const CHAIN = {
  services: "KUBE-SERVICES",
  externalServices: "KUBE-EXTERNAL-SERVICES",
  forward: "KUBE-FORWARD",
  nodePorts: "KUBE-NODEPORTS",
  proxyFirewall: "KUBE-PROXY-FIREWALL",
  postrouting: "KUBE-POSTROUTING",
  markMasquerade: "KUBE-MARK-MASQ",
  /** The kubelet's too: rules are added to it, never removed. */
  kubeletFirewall: "KUBE-FIREWALL",
  /** Empty; its loss shows that someone flushed the tables. */
  canary: "KUBE-PROXY-CANARY",
} as const;

/** What the names of per-Service chains in nat begin with; every such chain is the proxy's. */
export const HASHED_PREFIXES = [
  "KUBE-SVC-",
  "KUBE-SVL-",
  "KUBE-EXT-",
  "KUBE-FW-",
  "KUBE-SEP-",
] as const;

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
  /** By {@link endpointKey}. */
  endpoint(backend: Pick<Backend, "address" | "port">): string;
}

/**
 * What is hashed for a port without a name. `documented`: "default/hostnames:tcp", as kube-proxy
 * once did and as the chains are named in the documentation of Kubernetes. `current`:
 * "default/hostnamestcp", as kube-proxy does now. Ports with a name have the same chains in both.
 */
export type ChainNaming = "documented" | "current";

/** Names the chains of a Service port. */
export function serviceChains(
  port: Pick<ServicePortPlan, "namespace" | "service" | "portName" | "protocol">,
  naming: ChainNaming,
): ServiceChains {
  const colon = port.portName === "" && naming === "documented" ? ":" : "";
  // Nothing else stands between the parts.
  const identity = `${servicePortName(port)}${colon}${port.protocol.toLowerCase()}`;
  const hash = chainHash(identity);
  const endpoints = new Map<string, string>();
  return {
    cluster: `KUBE-SVC-${hash}`,
    local: `KUBE-SVL-${hash}`,
    external: `KUBE-EXT-${hash}`,
    firewall: `KUBE-FW-${hash}`,
    endpoint(backend) {
      const key = endpointKey(backend);
      const known = endpoints.get(key);
      if (known !== undefined) return known;
      const name = `KUBE-SEP-${chainHash(identity + key)}`;
      endpoints.set(key, name);
      return name;
    },
  };
}

/** "address:port" of an endpoint, IPv6 addresses in brackets. */
export function endpointKey({ address, port }: Pick<Backend, "address" | "port">): string {
  return formatSocketAddress(address, port);
}

/** Whether a chain of nat is one of a Service or endpoint. */
export function isHashedChain(name: string): boolean {
  return HASHED_PREFIXES.some((prefix) => name.startsWith(prefix));
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** The first 16 characters, that is 80 bits, of the base32 of the SHA-256 of a text. */
export function chainHash(text: string): string {
  const digest = createHash("sha256").update(text).digest();
  let name = "";
  for (let offset = 0; offset < 10; offset += 5) {
    // Five bytes are eight characters; they are taken in two halves that fit 32-bit integers.
    const high = digest[offset] << 12 | digest[offset + 1] << 4 | digest[offset + 2] >> 4;
    const low = (digest[offset + 2] & 15) << 16 | digest[offset + 3] << 8 | digest[offset + 4];
    for (const half of [high, low]) {
      for (let shift = 15; shift >= 0; shift -= 5) name += ALPHABET[half >> shift & 31];
    }
  }
  return name;
}
