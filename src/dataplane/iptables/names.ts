/**
 * Names of kube-proxy's chains.
 *
 * A chain's name has at most 28 characters, so those of Services and endpoints end in a hash: the
 * first 16 characters of the base32 (RFC 4648) of a SHA-256.
 *
 * @module
 */

import { formatSocketAddress } from "../../net/address.ts";
import { type Backend, servicePortName, type ServicePortPlan } from "../../plan/plan.ts";
import { sha256 } from "./sha256.ts";

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
const HASHED_PREFIXES = [
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
  /** Of an endpoint; asked for the same object again, it is remembered. */
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
  const endpoints = new Map<Pick<Backend, "address" | "port">, string>();
  return {
    cluster: `KUBE-SVC-${hash}`,
    local: `KUBE-SVL-${hash}`,
    external: `KUBE-EXT-${hash}`,
    firewall: `KUBE-FW-${hash}`,
    endpoint(backend) {
      const known = endpoints.get(backend);
      if (known !== undefined) return known;
      const name = `KUBE-SEP-${chainHash(identity + endpointKey(backend))}`;
      endpoints.set(backend, name);
      return name;
    },
  };
}

/** "address:port" of an endpoint, IPv6 addresses in brackets. */
export function endpointKey({ address, port }: Pick<Backend, "address" | "port">): string {
  return formatSocketAddress(address, port);
}

const HASHED = new RegExp(`^(?:${HASHED_PREFIXES.join("|")})`);

/** Whether a chain of nat is one of a Service or endpoint. */
export function isHashedChain(name: string): boolean {
  return HASHED.test(name);
}

const ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";

/** The first 16 characters, that is 80 bits, of the base32 of the SHA-256 of a text. */
export function chainHash(text: string): string {
  const words = sha256(text);
  const first = words[0];
  const second = words[1];
  const third = words[2];
  // Five bits a character; two of the characters have bits of two words.
  let name = "";
  for (let shift = 27; shift >= 2; shift -= 5) name += ALPHABET[first >>> shift & 31];
  name += ALPHABET[(first << 3 | second >>> 29) & 31];
  for (let shift = 24; shift >= 4; shift -= 5) name += ALPHABET[second >>> shift & 31];
  name += ALPHABET[(second << 1 | third >>> 31) & 31];
  for (let shift = 26; shift >= 16; shift -= 5) name += ALPHABET[third >>> shift & 31];
  return name;
}
