/**
 * The ways from the kernel's chains into ours.
 *
 * @module
 */

import { CHAIN } from "./names.ts";
import { comment, type TableName } from "./rules.ts";

/** A rule that must be in a chain that is not ours. */
export interface Jump {
  readonly table: TableName;
  readonly chain: string;
  readonly to: string;
  readonly spec: string;
}

const NEW = ["-m", "conntrack", "--ctstate", "NEW"];

/**
 * In kube-proxy's order. Each is put in front of its chain, so those of one chain stand there in
 * the reverse order.
 */
export const JUMPS: readonly Jump[] = [
  ...each("filter", ["INPUT", "FORWARD"], CHAIN.externalServices, [
    ...NEW,
    ...comment("kubernetes externally-visible service portals"),
  ]),
  ...each("filter", ["INPUT"], CHAIN.nodePorts, comment("kubernetes health check service ports")),
  ...each("filter", ["FORWARD", "OUTPUT"], CHAIN.services, [
    ...NEW,
    ...comment("kubernetes service portals"),
  ]),
  ...each("filter", ["FORWARD"], CHAIN.forward, comment("kubernetes forwarding rules")),
  ...each("filter", ["INPUT", "OUTPUT", "FORWARD"], CHAIN.proxyFirewall, [
    ...NEW,
    ...comment("kubernetes load balancer firewall"),
  ]),
  ...each("nat", ["OUTPUT", "PREROUTING"], CHAIN.services, comment("kubernetes service portals")),
  ...each("nat", ["POSTROUTING"], CHAIN.postrouting, comment("kubernetes postrouting rules")),
  ...each("filter", ["INPUT", "OUTPUT"], CHAIN.kubeletFirewall, []),
];

function each(
  table: TableName,
  chains: readonly string[],
  to: string,
  match: readonly string[],
): Jump[] {
  const spec = [...match, "-j", to].join(" ");
  return chains.map((chain) => ({ table, chain, to, spec }));
}
