/**
 * The kernel's side of one machine of the lab: its network namespace and its parameters.
 *
 * @module
 */

import { NetworkNamespace } from "../linux/namespace.ts";
import { readSysctl, writeSysctl } from "../linux/sysctl.ts";
import { Rtnetlink } from "../netlink/route/rtnetlink.ts";

/** Whether this kernel has IPv6 at all. */
export function hasIPv6(): boolean {
  return readSysctl("net.ipv6.conf.all.disable_ipv6") !== null;
}

/**
 * A namespace with its loopback interface up. Interfaces made later take replies by any way back
 * (no reverse path filter), and have IPv6 without automatic addresses or waiting for duplicates.
 */
export function createNamespace(): NetworkNamespace {
  const namespace = NetworkNamespace.create();
  try {
    namespace.run(() => {
      for (const scope of ["all", "default"]) {
        writeSysctl(`net.ipv4.conf.${scope}.rp_filter`, 0);
        if (!hasIPv6()) continue;
        writeSysctl(`net.ipv6.conf.${scope}.disable_ipv6`, 0);
        writeSysctl(`net.ipv6.conf.${scope}.accept_dad`, 0);
        writeSysctl(`net.ipv6.conf.${scope}.accept_ra`, 0);
        writeSysctl(`net.ipv6.conf.${scope}.addr_gen_mode`, ADDR_GEN_MODE_NONE);
      }
      using netlink = Rtnetlink.open();
      netlink.links.setUp("lo");
    });
    return namespace;
  } catch (error) {
    namespace.close();
    throw error;
  }
}

/** linux/if_link.h IN6_ADDR_GEN_MODE_NONE: no link-local address by itself. */
const ADDR_GEN_MODE_NONE = 1;

/** Makes the namespace that this thread is in a router. */
export function forwardPackets(): void {
  writeSysctl("net.ipv4.ip_forward", 1);
  for (const scope of ["all", "default"]) {
    // Machines have one way out: being told of a better one would only be noise.
    writeSysctl(`net.ipv4.conf.${scope}.send_redirects`, 0);
    if (hasIPv6()) writeSysctl(`net.ipv6.conf.${scope}.forwarding`, 1);
  }
}
