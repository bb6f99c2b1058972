/**
 * The kernel's side of one machine of the lab: its network namespace and its parameters.
 *
 * @module
 */

import { check, libc } from "../linux/libc.ts";
import { NetworkNamespace } from "../linux/namespace.ts";
import { readSysctl, writeSysctl } from "../linux/sysctl.ts";
import { Rtnetlink } from "../netlink/route/rtnetlink.ts";

/** Whether this kernel has IPv6 at all. */
export function hasIPv6(): boolean {
  return readSysctl("net.ipv6.conf.all.disable_ipv6") !== null;
}

/**
 * Moves this thread into a new namespace for good, and gives that.
 *
 * A thread that makes namespaces and switches between them needs one of its own to come back to:
 * inside a user namespace, the host's can be left but not entered again (setns(2)).
 */
export function moveToNewNamespace(): NetworkNamespace {
  check(libc().unshare(CLONE_NEWNET), "unshare the network namespace");
  return configured(NetworkNamespace.current());
}

/** sched.h. */
const CLONE_NEWNET = 0x40000000;

/**
 * A namespace with its loopback interface up. Interfaces made later take replies by any way back
 * (no reverse path filter), and have IPv6 without automatic addresses or waiting for duplicates.
 */
export function createNamespace(): NetworkNamespace {
  return configured(NetworkNamespace.create());
}

function configured(namespace: NetworkNamespace): NetworkNamespace {
  try {
    namespace.run(configure);
    return namespace;
  } catch (error) {
    namespace.close();
    throw error;
  }
}

function configure(): void {
  for (const scope of ["all", "default"]) {
    writeSysctl(`net.ipv4.conf.${scope}.rp_filter`, 0);
    // A namespace begins with what the host has, where kube-proxy may have set it.
    writeSysctl(`net.ipv4.conf.${scope}.route_localnet`, 0);
    if (!hasIPv6()) continue;
    writeSysctl(`net.ipv6.conf.${scope}.disable_ipv6`, 0);
    writeSysctl(`net.ipv6.conf.${scope}.accept_dad`, 0);
    writeSysctl(`net.ipv6.conf.${scope}.accept_ra`, 0);
    writeSysctl(`net.ipv6.conf.${scope}.addr_gen_mode`, ADDR_GEN_MODE_NONE);
  }
  using netlink = Rtnetlink.open();
  netlink.links.setUp("lo");
}

/** linux/if_link.h IN6_ADDR_GEN_MODE_NONE: no link-local address by itself. */
const ADDR_GEN_MODE_NONE = 1;

/** Makes the namespace that this thread is in a router. */
export function forwardPackets(): void {
  writeSysctl("net.ipv4.ip_forward", 1);
  // Who is refused is told so every time, however often it asks.
  writeSysctl("net.ipv4.icmp_ratelimit", 0);
  if (hasIPv6()) writeSysctl("net.ipv6.icmp.ratelimit", 0);
  for (const scope of ["all", "default"]) {
    // Machines have one way out: being told of a better one would only be noise.
    writeSysctl(`net.ipv4.conf.${scope}.send_redirects`, 0);
    if (hasIPv6()) writeSysctl(`net.ipv6.conf.${scope}.forwarding`, 1);
  }
}
