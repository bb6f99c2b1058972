/**
 * One machine's link to the node: a veth pair, routed as Calico routes pods. The machine has its
 * addresses as host addresses on eth0 and a default route to a gateway that is link-local on the
 * node's end; the node has a route for each of the addresses.
 *
 * @module
 */

import type { NetworkNamespace } from "../linux/namespace.ts";
import type { Family } from "../net/address.ts";
import { familyOf } from "../net/address.ts";
import { Rtnetlink } from "../netlink/route/rtnetlink.ts";
import { GATEWAY, MTU } from "./topology.ts";

/** What to connect. */
export interface LinkOptions {
  readonly node: NetworkNamespace;
  readonly machine: NetworkNamespace;
  /** Name of the node's end. */
  readonly linkName: string;
  /** The machine's addresses. */
  readonly addresses: readonly string[];
  /** Addresses of the node itself to put on its end. */
  readonly nodeAddresses: readonly string[];
  /** The node's primary address of each family, the source of what it sends to the machine itself. */
  readonly primary: readonly string[];
  /** The families that the kernel has. */
  readonly families: readonly Family[];
}

/** A link to the node. */
export interface Link {
  /**
   * Takes the node's routes to the machine away, so that its addresses are free again. The pair
   * itself goes when the machine's namespace does: the kernel removes it in the background, where
   * deleting it would stop this thread for tens of milliseconds.
   */
  disconnect(): void;
}

/** The machine's interface. */
export const INTERFACE = "eth0";
export const DEFAULT_ROUTE = { IPv4: "0.0.0.0/0", IPv6: "::/0" } as const;

/** Makes the link. When the kernel refuses a part, what was made is taken away again. */
export function connectToNode(options: LinkOptions): Link {
  const { node, machine, linkName, addresses } = options;
  using nodeNetlink = node.run(() => Rtnetlink.open());
  nodeNetlink.links.createVeth({
    name: linkName,
    peer: { name: INTERFACE, namespaceFd: machine.fd },
    mtu: MTU,
  });
  try {
    using machineNetlink = machine.run(() => Rtnetlink.open());
    machineNetlink.links.setUp(INTERFACE);
    configureNode(nodeNetlink, options);
    configureMachine(machineNetlink, options);
  } catch (error) {
    nodeNetlink.links.delete(linkName);
    throw error;
  }
  return {
    disconnect() {
      using netlink = node.run(() => Rtnetlink.open());
      for (const destination of addresses) netlink.routes.remove({ destination, link: linkName });
    },
  };
}

function configureNode(netlink: Rtnetlink, options: LinkOptions): void {
  const { linkName: link, families, nodeAddresses, addresses, primary } = options;
  for (const family of families) {
    const prefix = family === "IPv4" ? 32 : 64;
    netlink.addresses.add({ link, address: GATEWAY[family], prefix, scope: "link" });
  }
  for (const address of nodeAddresses) netlink.addresses.add({ link, address });
  for (const address of addresses) {
    netlink.routes.add({
      destination: address,
      link,
      preferredSource: primary.find((own) => familyOf(own) === familyOf(address)),
    });
  }
}

function configureMachine(netlink: Rtnetlink, options: LinkOptions): void {
  const { families, addresses } = options;
  for (const address of addresses) netlink.addresses.add({ link: INTERFACE, address });
  for (const family of families) {
    // A default route of a family without addresses would turn "unreachable" into silence.
    if (!addresses.some((address) => familyOf(address) === family)) continue;
    netlink.routes.add({
      destination: DEFAULT_ROUTE[family],
      gateway: GATEWAY[family],
      link: INTERFACE,
      onlink: true,
    });
  }
}
