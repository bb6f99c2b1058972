/**
 * Takes the proxy's tables, ours or kube-proxy's, off a node. That needs no program: the tables are
 * nobody else's, and go as a whole.
 *
 * @module
 */

import { messageOf } from "../../errors.ts";
import { ERRNO } from "../../linux/libc.ts";
import { FAMILIES, type Family } from "../../net/address.ts";
import { NetlinkError } from "../../netlink/error.ts";
import { Nftables } from "../../netlink/netfilter/nftables/nftables.ts";
import { TABLE, tableFamily } from "./names.ts";

/** Whether there are any in this thread's namespace. */
export function hasNftablesLeftovers(): boolean {
  using net = Nftables.open();
  return FAMILIES.some((family) => isThere(net, family));
}

/**
 * Cleans up this thread's namespace in both families. Goes on after a failure; returns what failed,
 * one line each. Needs CAP_NET_ADMIN.
 */
export function cleanupNftables(): string[] {
  using net = Nftables.open();
  const failures: string[] = [];
  for (const family of FAMILIES) {
    try {
      if (isThere(net, family)) net.commit([{ kind: "delete table", table: nameOf(family) }]);
    } catch (error) {
      failures.push(messageOf(error));
    }
  }
  return failures;
}

function isThere(net: Nftables, family: Family): boolean {
  try {
    return net.table(nameOf(family)) !== null;
  } catch (error) {
    // What nfnetlink answers for a part that the kernel has not (nfnetlink_rcv_msg).
    if (error instanceof NetlinkError && error.errno === ERRNO.EINVAL) return false;
    throw error;
  }
}

function nameOf(family: Family) {
  return { family: tableFamily(family), table: TABLE };
}
