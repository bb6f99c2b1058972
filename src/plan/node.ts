/**
 * What a plan depends on besides Services: this node, as configured and as its Node object says.
 *
 * @module
 */

import { type Node, ZONE_LABEL } from "../cluster/objects.ts";
import {
  type Family,
  familyOf,
  formatNetwork,
  networkContains,
  parseAddress,
  parseNetwork,
} from "../net/address.ts";
import type { NodeInfo, SchedulerFlagName, SchedulerName } from "./plan.ts";

/**
 * How local pods are told from everything else, as `--detect-local-mode`. The two interface modes
 * cannot be decided by address: plans then treat pods apart, but `podNetworks` is empty.
 */
export type DetectLocalMode =
  | "ClusterCIDR"
  | "NodeCIDR"
  | "BridgeInterface"
  | "InterfaceNamePrefix"
  | "none";

/** Everything about this node and this proxy that a plan is made for. */
export interface PlannerConfig {
  /** The name by which endpoints and the Node object refer to this node. */
  readonly nodeName: string;
  /** Addresses given by `--node-ip`; empty: those of the Node object. */
  readonly nodeAddresses: readonly string[];
  /** `--bind-address`: stands for the node's primary address of its family (default: none). */
  readonly primaryAddress?: string;
  /** `--cluster-cidr`; the first network of each family counts. */
  readonly clusterCIDRs: readonly string[];
  readonly detectLocalMode: DetectLocalMode;
  readonly masqueradeAll: boolean;
  /**
   * `--nodeport-addresses`: networks, or the single word "primary". A family of which no network is
   * given answers on all its addresses, as does one with a network of prefix 0.
   */
  readonly nodePortAddresses: readonly string[];
  readonly families: readonly Family[];
  readonly scheduler: SchedulerName;
  /** What that scheduler is told (default: nothing). */
  readonly schedulerFlags?: readonly SchedulerFlagName[];
  /** Schedulers that Services may name in annotations (default: annotations don't count). */
  readonly selectableSchedulers?: readonly SchedulerName[];
  /** Further addresses of the node's interfaces, where known. */
  readonly localAddresses?: readonly string[];
}

/** The node as the planner sees it. */
export interface NodeContext {
  readonly info: NodeInfo;
  /** The node's topology zone; "" when it has none. */
  readonly zone: string;
  /** Families in which local pods are recognised. */
  readonly detects: readonly Family[];
  /** The node's address by which source ranges decide about it: loopback when it has none. */
  readonly primary: Readonly<Record<Family, string>>;
}

const LOOPBACK_V4 = parseNetwork("127.0.0.0/8")!;

/** Whether an address is a loopback address; these are always the node's own. */
export function isLoopback(address: string): boolean {
  return address === "::1" || networkContains(LOOPBACK_V4, address);
}

/**
 * The node as configured and, where the configuration leaves it open, as its Node object says.
 * Throws a TypeError on configured addresses or networks that are none.
 */
export function describeNode(config: PlannerConfig, node: Node | null): NodeContext {
  const configured = config.nodeAddresses.map(configuredAddress);
  const found = configured.length > 0 ? configured : statusAddresses(node);
  const { primaryAddress } = config;
  const own = primaryAddress === undefined ? found : [configuredAddress(primaryAddress), ...found];
  const primaries = firstOfEachFamily(own);
  const local = (config.localAddresses ?? []).map(configuredAddress);
  const addresses = [...new Set([...primaries, ...own, ...local])]
    .filter((address) => !isLoopback(address));
  const podNetworks = localNetworks(config, node);
  const byInterface = config.detectLocalMode === "BridgeInterface" ||
    config.detectLocalMode === "InterfaceNamePrefix";
  return {
    info: {
      name: config.nodeName,
      addresses,
      nodePortAddresses: nodePortAddresses(config, addresses, primaries),
      podNetworks: podNetworks.map(formatNetwork),
    },
    zone: node?.metadata.labels?.[ZONE_LABEL] ?? "",
    detects: byInterface ? config.families : podNetworks.map((network) => network.family),
    primary: {
      IPv4: primaries.find((address) => familyOf(address) === "IPv4") ?? "127.0.0.1",
      IPv6: primaries.find((address) => familyOf(address) === "IPv6") ?? "::1",
    },
  };
}

function configuredAddress(text: string): string {
  const address = parseAddress(text);
  if (address === null) throw new TypeError(`not an IP address: ${JSON.stringify(text)}`);
  return address;
}

function configuredNetwork(text: string) {
  const network = parseNetwork(text);
  if (network === null) throw new TypeError(`not a network: ${JSON.stringify(text)}`);
  return network;
}

/** Internal addresses before external ones; names are left out. */
function statusAddresses(node: Node | null): string[] {
  const addresses = node?.status?.addresses ?? [];
  return ["InternalIP", "ExternalIP"].flatMap((type) =>
    addresses.filter((entry) => entry.type === type)
      .map((entry) => parseAddress(entry.address))
      .filter((address) => address !== null)
  );
}

function firstOfEachFamily(addresses: readonly string[]): string[] {
  return addresses.filter((address, index) =>
    addresses.findIndex((other) => familyOf(other) === familyOf(address)) === index
  );
}

function localNetworks(config: PlannerConfig, node: Node | null) {
  const networks = config.detectLocalMode === "ClusterCIDR"
    ? config.clusterCIDRs.map(configuredNetwork)
    : config.detectLocalMode === "NodeCIDR"
    ? (node?.spec?.podCIDRs ?? []).map(parseNetwork).filter((network) => network !== null)
    : [];
  return networks.filter((network, index) =>
    networks.findIndex((other) => other.family === network.family) === index
  );
}

function nodePortAddresses(
  config: PlannerConfig,
  addresses: readonly string[],
  primaries: readonly string[],
): string[] {
  if (config.nodePortAddresses.length === 1 && config.nodePortAddresses[0] === "primary") {
    return addresses.filter((address) => primaries.includes(address));
  }
  const networks = config.nodePortAddresses.map(configuredNetwork);
  return addresses.filter((address) => {
    const own = networks.filter((network) => network.family === familyOf(address));
    return own.length === 0 || own.some((network) => networkContains(network, address));
  });
}
