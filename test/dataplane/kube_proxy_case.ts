/**
 * What kube-proxy's own proxier was given in the fixtures of iptables and nftables mode.
 *
 * @module
 */

import type { ClusterObject } from "../../src/cluster/objects.ts";
import type { LocalDetection } from "../../src/dataplane/iptables/options.ts";
import type { Family } from "../../src/net/address.ts";
import type { DetectLocalMode } from "../../src/plan/node.ts";
import type { Planner } from "../../src/plan/planner.ts";
import { plannerOf } from "./iptables/plans.ts";
import { objects } from "./objects.ts";

/** One run of it. */
export interface KubeProxyCase {
  readonly name: string;
  readonly family: Family;
  readonly options: {
    readonly masqueradeAll: boolean;
    readonly masqueradeBit: number;
    /** How local traffic is told, and the network or name that it takes. */
    readonly detect: string;
    readonly detectArg: string;
    readonly nodePortAddresses: readonly string[];
  };
  /** Names of {@link objects}. */
  readonly services: readonly string[];
}

/** The objects of its Services. */
export function objectsOf({ family, services }: KubeProxyCase): ClusterObject[] {
  return services.flatMap((service) => objects[family][service]);
}

const MODES: Readonly<Record<string, DetectLocalMode>> = {
  cidr: "ClusterCIDR",
  bridge: "BridgeInterface",
  prefix: "InterfaceNamePrefix",
  none: "none",
};

/** A planner with objects and its flags. */
export function plannerFor(
  { family, options }: KubeProxyCase,
  input: readonly ClusterObject[],
): Planner {
  return plannerOf(input, {
    families: [family],
    masqueradeAll: options.masqueradeAll,
    detectLocalMode: MODES[options.detect],
    clusterCIDRs: options.detect === "cidr" ? [options.detectArg] : [],
    nodePortAddresses: options.nodePortAddresses,
  });
}

/** How its rules tell local traffic. */
export function localDetection({ options: { detect, detectArg } }: KubeProxyCase): LocalDetection {
  if (detect === "bridge") return { by: "bridge", name: detectArg };
  if (detect === "prefix") return { by: "interface-prefix", prefix: detectArg };
  return { by: "network" };
}
