/** Where pods are: their node and their addresses. @module */

import { type Family, familyOf, type Network, networkContains } from "../../net/address.ts";
import { FAMILIES, parseNetwork } from "../../net/address.ts";
import { type Node, objectKey, type Pod } from "../objects.ts";
import type { ClusterProblem } from "../source.ts";
import { AddressPool } from "./address_pool.ts";
import { isTerminal } from "./pod_state.ts";

/** A pod to be placed. */
export interface PodRequest {
  readonly pod: Pod;
  /** Its number among the pods of its workload, for the choice of a node. */
  readonly ordinal: number;
  /** Addresses that it must have; empty: any. */
  readonly addresses: readonly string[];
  /** Where it comes from, for problems. */
  readonly where: string;
}

/** Where a pod was placed. */
export interface Placement {
  readonly node?: string;
  readonly addresses: readonly string[];
}

/** What placing depends on, besides the pods. */
export interface PlacementOptions {
  readonly nodes: readonly Node[];
  /** Networks for pods whose node has no podCIDRs of that family. */
  readonly podNetworks: readonly Network[];
  /** This node: the first to get pods, and the only one when no Node is known. */
  readonly nodeName?: string;
}

/** Pods with a node and addresses. */
export interface PlacementResult {
  readonly pods: readonly Pod[];
  readonly problems: readonly ClusterProblem[];
  /** By "namespace/name". */
  readonly placements: ReadonlyMap<string, Placement>;
}

/**
 * Gives pods their node and addresses, as scheduler and network plug-in would.
 *
 * Node: the one of the spec; the one whose podCIDRs hold the pod's explicit address; the one it was
 * on; else round robin. Addresses: explicit ones; the node's own for hostNetwork; those it had;
 * else a free one of each family, from its node's podCIDRs or the pod networks. A pod whose explicit
 * address belongs to another one is reported and left out.
 */
export function placePods(
  requests: readonly PodRequest[],
  options: PlacementOptions,
  before: ReadonlyMap<string, Placement>,
): PlacementResult {
  const nodes = new Nodes(options);
  const pool = new AddressPool();
  const problems: ClusterProblem[] = [];
  const placements = new Map<string, Placement>();
  const refused = new Set<string>();
  for (const { pod, addresses, where } of requests) {
    if (addresses.length === 0 || isTerminal(pod)) continue;
    const key = objectKey(pod);
    const holder = pod.spec.hostNetwork === true ? null : reserveAll(pool, addresses, key);
    if (holder === null) continue;
    refused.add(key);
    const message = `${holder.address} is the address of Pod ${holder.owner}`;
    problems.push({ where, object: `Pod ${key}`, field: "status.podIPs", message });
  }
  const pending: { readonly request: PodRequest; readonly node?: string }[] = [];
  for (const request of requests) {
    const { pod, ordinal, addresses } = request;
    const key = objectKey(pod);
    if (refused.has(key)) continue;
    const last = before.get(key);
    const node = pod.spec.nodeName ?? nodes.holding(addresses) ?? nodes.still(last?.node) ??
      nodes.inTurn(ordinal);
    const own = pod.spec.hostNetwork === true ? nodes.addressesOf(node) : [];
    const fixed = addresses.length > 0 ? addresses : own;
    const kept = last?.addresses ?? [];
    const fits = kept.length > 0 && pod.spec.hostNetwork !== true &&
      kept.every((one) => nodes.networksOf(node).some((network) => networkContains(network, one)));
    if (fixed.length > 0) placements.set(key, { node, addresses: fixed });
    else if (fits && reserveAll(pool, kept, key) === null) {
      placements.set(key, { node, addresses: kept });
    } else pending.push({ request, node });
  }
  for (const { request: { pod, where }, node } of pending) {
    const key = objectKey(pod);
    const addresses = allocate(pool, nodes.networksOf(node), key);
    if (addresses.length > 0) {
      placements.set(key, { node, addresses });
    } else {
      problems.push({ where, object: `Pod ${key}`, message: "no address of its network is free" });
    }
  }
  const pods = requests.flatMap(({ pod }) => {
    const placement = placements.get(objectKey(pod));
    return placement === undefined ? [] : [placed(pod, placement)];
  });
  return { pods, problems, placements };
}

function placed(pod: Pod, { node, addresses }: Placement): Pod {
  return {
    ...pod,
    spec: node === undefined ? pod.spec : { ...pod.spec, nodeName: node },
    status: { ...pod.status, podIPs: addresses },
  };
}

/** Reserves all of the addresses, or none; returns who holds one of them already. */
function reserveAll(pool: AddressPool, addresses: readonly string[], owner: string) {
  const taken = addresses.find((address) => !pool.isFree(address));
  if (taken !== undefined) return { address: taken, owner: pool.reserve(taken, owner) };
  for (const address of addresses) pool.reserve(address, owner);
  return null;
}

/** One address of each family that has a network; none at all if a family's networks are full. */
function allocate(pool: AddressPool, networks: readonly Network[], owner: string): string[] {
  const addresses: string[] = [];
  for (const family of FAMILIES) {
    const candidates = networks.filter((network) => network.family === family);
    if (candidates.length === 0) continue;
    let address: string | null = null;
    for (const network of candidates) address ??= pool.allocate(network, owner);
    if (address === null) return [];
    addresses.push(address);
  }
  return addresses;
}

/** What is known of the nodes. */
class Nodes {
  readonly #names: string[];
  readonly #networks = new Map<string, readonly Network[]>();
  readonly #addresses = new Map<string, readonly string[]>();
  readonly #podNetworks: readonly Network[];

  constructor({ nodes, podNetworks, nodeName }: PlacementOptions) {
    this.#podNetworks = podNetworks;
    this.#names = nodes.map((node) => node.metadata.name)
      .sort((a, b) => Number(b === nodeName) - Number(a === nodeName) || (a < b ? -1 : 1));
    if (this.#names.length === 0 && nodeName !== undefined) this.#names.push(nodeName);
    for (const { metadata, spec, status } of nodes) {
      const own = (spec?.podCIDRs ?? []).map(parseNetwork).filter((one) => one !== null);
      const families = new Set<Family>(own.map((one) => one.family));
      this.#networks.set(metadata.name, [
        ...own,
        ...podNetworks.filter((one) => !families.has(one.family)),
      ]);
      const internal = (status?.addresses ?? []).filter((one) => one.type === "InternalIP")
        .map((one) => one.address);
      const perFamily = FAMILIES.map((family) => internal.find((one) => familyOf(one) === family));
      this.#addresses.set(metadata.name, perFamily.filter((one) => one !== undefined));
    }
  }

  /** The node whose own pod networks hold the first of these addresses. */
  holding(addresses: readonly string[]): string | undefined {
    if (addresses.length === 0) return undefined;
    return this.#names.find((name) =>
      (this.#networks.get(name) ?? []).some((network) =>
        !this.#podNetworks.includes(network) && networkContains(network, addresses[0])
      )
    );
  }

  still(name: string | undefined): string | undefined {
    return name !== undefined && this.#names.includes(name) ? name : undefined;
  }

  inTurn(ordinal: number): string | undefined {
    return this.#names.length === 0 ? undefined : this.#names[ordinal % this.#names.length];
  }

  networksOf(name: string | undefined): readonly Network[] {
    return (name === undefined ? undefined : this.#networks.get(name)) ?? this.#podNetworks;
  }

  addressesOf(name: string | undefined): readonly string[] {
    return (name === undefined ? undefined : this.#addresses.get(name)) ?? [];
  }
}
