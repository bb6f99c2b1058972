/**
 * What tests compare to see that the lab left the host alone.
 *
 * @module
 */

import { Rtnetlink } from "../../src/netlink/route/rtnetlink.ts";

/** Links, addresses, routes and rules of the namespace that this thread is in. */
export function hostNetwork(): Record<string, readonly unknown[]> {
  using netlink = Rtnetlink.open();
  return {
    links: netlink.links.list(),
    addresses: netlink.addresses.list(),
    routes: netlink.routes.list(),
    rules: netlink.rules.list(),
  };
}

/** The network namespaces ("net:[4026531833]") that a process's threads are in or it has open. */
export function networkNamespacesOf(pid: number): string[] {
  return findNamespaces(`/proc/${pid}/task`, `/proc/${pid}/fd`);
}

/** The network namespaces of all processes. */
export function allNetworkNamespaces(): string[] {
  return findNamespaces("/proc");
}

/** By find(1): Deno itself asks for all permissions below /proc. */
function findNamespaces(...roots: readonly string[]): string[] {
  const { stdout } = new Deno.Command("find", {
    args: [...roots, "-name", "map_files", "-prune", "-o", "-lname", "net:*", "-printf", "%l\\n"],
    stderr: "null",
  }).outputSync();
  return [...new Set(new TextDecoder().decode(stdout).trim().split("\n"))].sort();
}
