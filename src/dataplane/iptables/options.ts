/**
 * What the rules depend on besides the plan: kube-proxy's flags for iptables mode, and what this
 * node's kernel and programs can do.
 *
 * @module
 */

import { type Family, familyOf, type Network, networkContains } from "../../net/address.ts";
import { parseNetwork } from "../../net/address.ts";
import type { NodeInfo } from "../../plan/plan.ts";
import type { ChainNaming } from "./names.ts";

/** How traffic of local pods is recognised, as `--detect-local-mode`. */
export type LocalDetection =
  /** By the plan's `podNetworks` (modes ClusterCIDR and NodeCIDR); without one of a family: not. */
  | { readonly by: "network" }
  | { readonly by: "bridge"; readonly name: string }
  | { readonly by: "interface-prefix"; readonly prefix: string };

/** Options of the rule set. */
export interface RuleOptions {
  /** The bit of the packet mark, 0–31, by which packets to be masqueraded are known. */
  readonly masqueradeBit: number;
  /** Node ports answer on loopback addresses too (IPv4 only). */
  readonly localhostNodePorts: boolean;
  /** `--nodeport-addresses`: networks, or the single word "primary"; empty: all addresses. */
  readonly nodePortAddresses: readonly string[];
  readonly localDetection: LocalDetection;
  /** Whether iptables knows `MASQUERADE --random-fully` (1.6.2 and later). */
  readonly randomFully: boolean;
  /** sysctl nf_conntrack_tcp_be_liberal is set, so packets of state INVALID are not dropped. */
  readonly tcpLiberal: boolean;
  /** Which nfacct counters exist, for rules to count into. */
  readonly counters: ReadonlySet<CounterName>;
  readonly chainNaming: ChainNaming;
}

/** nfacct objects that kube-proxy's metrics are read from. */
export const COUNTERS = {
  invalidDropped: "ct_state_invalid_dropped_pkts",
  localhostNodePorts: "localhost_nps_accepted_pkts",
} as const;

/** Name of an nfacct object. */
export type CounterName = typeof COUNTERS[keyof typeof COUNTERS];

/** kube-proxy's defaults, on a node with a current iptables and without nfacct. */
export const DEFAULT_RULE_OPTIONS: RuleOptions = {
  masqueradeBit: 14,
  localhostNodePorts: true,
  nodePortAddresses: [],
  localDetection: { by: "network" },
  randomFully: true,
  tcpLiberal: false,
  counters: new Set(),
  chainNaming: "documented",
};

/** The options as they are for one family on one node. */
export interface RuleContext {
  readonly family: Family;
  /** "0x00004000": value and mask of the masquerade mark. */
  readonly mark: string;
  /** Words of a match for traffic of local pods, or null when it cannot be told. */
  readonly ifLocal: readonly string[] | null;
  readonly ifNotLocal: readonly string[] | null;
  readonly localhostNodePorts: boolean;
  /** Addresses on which node ports answer; null: every address of the node. */
  readonly nodePortAddresses: readonly string[] | null;
  readonly randomFully: boolean;
  readonly tcpLiberal: boolean;
  readonly counters: ReadonlySet<CounterName>;
  readonly chainNaming: ChainNaming;
}

/** Decides the options for a family. Throws TypeError on options that no rule can be made from. */
export function ruleContext(family: Family, node: NodeInfo, options: RuleOptions): RuleContext {
  const { masqueradeBit, randomFully, tcpLiberal, counters, chainNaming } = options;
  if (!Number.isInteger(masqueradeBit) || masqueradeBit < 0 || masqueradeBit > 31) {
    throw new TypeError(`masquerade bit ${masqueradeBit}: expected 0 to 31`);
  }
  const match = localMatch(family, node, options.localDetection);
  const localhostNodePorts = options.localhostNodePorts && family === "IPv4" &&
    includesLoopback(options.nodePortAddresses, node);
  return {
    family,
    mark: `0x${(2 ** masqueradeBit).toString(16).padStart(8, "0")}`,
    ifLocal: match,
    ifNotLocal: match === null ? null : ["!", ...match],
    localhostNodePorts,
    nodePortAddresses: nodePortDestinations(family, node, options.nodePortAddresses),
    randomFully,
    tcpLiberal,
    counters,
    chainNaming,
  };
}

function localMatch(
  family: Family,
  node: NodeInfo,
  detection: LocalDetection,
): readonly string[] | null {
  if (detection.by === "network") {
    const network = node.podNetworks.find((text) => familyOf(text) === family);
    return network === undefined ? null : ["-s", network];
  }
  const name = detection.by === "bridge" ? detection.name : detection.prefix;
  // IFNAMSIZ is 16 with the final NUL.
  if (!/^[^\s/"\\!+]{1,15}$/.test(name)) {
    throw new TypeError(`interface ${JSON.stringify(name)}: expected a name of 1 to 15 characters`);
  }
  return ["-i", detection.by === "bridge" ? name : `${name}+`];
}

const LOOPBACK = "127.0.0.1";

function configuredNetworks(addresses: readonly string[], node: NodeInfo): Network[] {
  const texts = addresses.length === 1 && addresses[0] === "primary"
    ? node.addresses.filter((address, index) =>
      node.addresses.findIndex((other) => familyOf(other) === familyOf(address)) === index
    )
    : addresses;
  return texts.map((text) => {
    const network = parseNetwork(text);
    if (network === null) throw new TypeError(`not a network: ${JSON.stringify(text)}`);
    return network;
  });
}

/** Networks of the family; null for all addresses, which is also what no network means. */
function networksOf(
  family: Family,
  node: NodeInfo,
  addresses: readonly string[],
): Network[] | null {
  const own = configuredNetworks(addresses, node).filter((network) => network.family === family);
  return own.length === 0 || own.some((network) => network.prefix === 0) ? null : own;
}

/** kube-proxy's ContainsIPv4Loopback. */
function includesLoopback(addresses: readonly string[], node: NodeInfo): boolean {
  const networks = networksOf("IPv4", node, addresses);
  return networks === null ||
    networks.some((network) =>
      network.address.startsWith("127.") || networkContains(network, "127.0.0.0")
    );
}

/** Loopback addresses count too: rules for them are made where localhost node ports are on. */
function nodePortDestinations(
  family: Family,
  node: NodeInfo,
  addresses: readonly string[],
): readonly string[] | null {
  const networks = networksOf(family, node, addresses);
  if (networks === null) return null;
  const loopback = networks.some((network) => networkContains(network, LOOPBACK));
  return [
    ...(loopback ? [LOOPBACK] : []),
    ...node.nodePortAddresses.filter((address) => familyOf(address) === family),
  ];
}
