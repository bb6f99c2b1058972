/** What manifests leave open, and a cluster decides. @module */

import { type Network, parseNetwork } from "../../net/address.ts";
import type { ControlPlaneOptions } from "../control/control_plane.ts";

/** Default networks of cluster IPs: kubeadm's, and one of unique local IPv6 addresses. */
const DEFAULT_SERVICE_RANGES: readonly string[] = ["10.96.0.0/12", "fd00:10:96::/112"];
/** Default networks of pods. */
export const DEFAULT_POD_NETWORKS: readonly string[] = ["10.244.0.0/16", "fd00:10:244::/64"];

/** What manifests are read with. */
export interface ManifestOptions {
  /** A file, a folder, or "-" for standard input. */
  readonly path: string;
  /** `--service-cluster-ip-range`: "address/prefix", the primary family first. */
  readonly serviceClusterIPRanges?: readonly string[];
  /** Networks from which pods get addresses if their node has no podCIDRs. */
  readonly podNetworks?: readonly string[];
  /** This node. */
  readonly nodeName?: string;
}

/** @throws {TypeError} on an option that is no network. */
export function controlPlaneOptions(options: ManifestOptions): ControlPlaneOptions {
  const { serviceClusterIPRanges = [], podNetworks = [], nodeName } = options;
  return {
    serviceNetworks: networks(serviceClusterIPRanges, DEFAULT_SERVICE_RANGES),
    podNetworks: networks(podNetworks, DEFAULT_POD_NETWORKS),
    nodeName,
  };
}

function networks(given: readonly string[], fallback: readonly string[]): Network[] {
  return (given.length > 0 ? given : fallback).map((text) => {
    const network = parseNetwork(text);
    if (network !== null) return network;
    throw new TypeError(`expected a network, address/prefix, found ${JSON.stringify(text)}`);
  });
}
