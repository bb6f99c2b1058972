/**
 * What is known of this node, over times in which its object says less.
 *
 * A Node that is deleted while its kubelet runs comes again as soon as that registers it, and has its
 * addresses and pod networks some time later. The machine is the same meanwhile: as kube-proxy, which
 * asks for them when it starts, a proxy goes on with those that it knows.
 *
 * @module
 */

import type { Node } from "../objects.ts";
import type { ClusterChange } from "../source.ts";

/** Completes what is told of one Node by what was told before. */
export class OwnNode {
  #known: Node | null = null;

  /** What a change says of the node; null: nothing. Changes of other kinds are as they are. */
  complete(change: ClusterChange): ClusterChange | null {
    const { action, object } = change;
    if (object.kind !== "Node") return change;
    if (action === "delete") return null;
    this.#known = this.#known === null ? object : completed(object, this.#known);
    return this.#known === object ? change : { action, object: this.#known };
  }
}

function completed(node: Node, known: Node): Node {
  const podCIDRs = node.spec?.podCIDRs ?? [];
  const addresses = node.status?.addresses ?? [];
  const lacksNetworks = podCIDRs.length === 0 && known.spec?.podCIDRs !== undefined;
  const lacksAddresses = !addresses.some(isIP) && known.status?.addresses !== undefined;
  if (!lacksNetworks && !lacksAddresses) return node;
  return {
    ...node,
    ...(lacksNetworks ? { spec: { ...node.spec, podCIDRs: known.spec!.podCIDRs } } : {}),
    ...(lacksAddresses ? { status: { ...node.status, addresses: known.status!.addresses } } : {}),
  };
}

function isIP({ type }: { readonly type: string }): boolean {
  return type === "InternalIP" || type === "ExternalIP";
}
