/**
 * The ways from the kernel's chains into ours, in ipvs mode.
 *
 * @module
 */

import type { Jump } from "../iptables/jumps.ts";
import { comment, type TableName } from "../iptables/rules.ts";
import { CHAIN } from "./names.ts";

/**
 * kube-proxy's, no more: each is put in front of its chain, so those of one chain stand there in the
 * reverse order. To our own chains lead rules in kube-proxy's, which it writes anew when it takes the
 * node back.
 */
export const JUMPS: readonly Jump[] = [
  ...each("nat", ["OUTPUT", "PREROUTING"], CHAIN.services, "kubernetes service portals"),
  ...each("nat", ["POSTROUTING"], CHAIN.postrouting, "kubernetes postrouting rules"),
  ...each("filter", ["FORWARD"], CHAIN.forward, "kubernetes forwarding rules"),
  ...each("filter", ["INPUT"], CHAIN.nodePort, "kubernetes health check rules"),
  ...each("filter", ["INPUT", "FORWARD"], CHAIN.proxyFirewall, "kube-proxy firewall rules"),
  ...each("filter", ["INPUT"], CHAIN.filter, "kubernetes ipvs access filter"),
  ...each("filter", ["OUTPUT"], CHAIN.outFilter, "kubernetes ipvs access filter"),
];

function each(table: TableName, chains: readonly string[], to: string, text: string): Jump[] {
  const spec = [...comment(text), "-j", to].join(" ");
  return chains.map((chain) => ({ table, chain, to, spec }));
}
