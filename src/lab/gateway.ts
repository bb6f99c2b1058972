/**
 * The node's way to everything that is not in the lab: without one, the node's kernel would refuse
 * addresses that nobody has before any rule about them is asked.
 *
 * @module
 */

import type { NetworkNamespace } from "../linux/namespace.ts";
import { writeSysctl } from "../linux/sysctl.ts";
import { familyOf } from "../net/address.ts";
import { Rtnetlink } from "../netlink/route/rtnetlink.ts";
import { DEFAULT_ROUTE, INTERFACE } from "./link.ts";
import { forwardPackets } from "./machine.ts";

/** Who has the way. */
export interface GatewayOptions {
  readonly node: NetworkNamespace;
  /** The node's end of the link to the machine. */
  readonly linkName: string;
  /** The node's primary address of each family. */
  readonly primary: readonly string[];
  readonly machine: NetworkNamespace;
  /** The machine's addresses; a family without one gets no way. */
  readonly addresses: readonly string[];
}

/** Makes a machine the node's gateway, beyond which every address is unreachable at once. */
export function makeGateway({ node, linkName, primary, machine, addresses }: GatewayOptions): void {
  machine.run(() => {
    forwardPackets();
    // What it sends itself may come back to it this way.
    writeSysctl(`net/ipv4/conf/${INTERFACE}/accept_local`, 1);
  });
  using machineNetlink = machine.run(() => Rtnetlink.open());
  using nodeNetlink = node.run(() => Rtnetlink.open());
  for (const family of new Set(addresses.map(familyOf))) {
    const isOfFamily = (address: string) => familyOf(address) === family;
    machineNetlink.rules.ensure({
      family,
      priority: 1,
      action: "unreachable",
      inputName: INTERFACE,
    });
    nodeNetlink.routes.add({
      destination: DEFAULT_ROUTE[family],
      gateway: addresses.find(isOfFamily),
      link: linkName,
      onlink: true,
      preferredSource: primary.find(isOfFamily),
    });
  }
}
