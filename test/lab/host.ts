/**
 * What tests compare to see that the lab left the host alone.
 *
 * @module
 */

import { STATE_VARIABLE } from "../../src/lab/state.ts";
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

/**
 * The processes of the lab with this state file, which all of them have in their environment. A lab's
 * namespaces last as long as one of its processes does; by their own numbers they cannot be looked
 * for, as the kernel gives those to the next namespaces.
 */
export function processesOfLab(stateFile: string): string[] {
  const variable = `${STATE_VARIABLE}=${stateFile}`;
  return [...Deno.readDirSync("/proc")].map(({ name }) => name).filter((pid) => {
    if (!/^\d+$/.test(pid)) return false;
    try {
      return Deno.readTextFileSync(`/proc/${pid}/environ`).split("\0").includes(variable);
    } catch {
      // It has ended meanwhile.
      return false;
    }
  });
}

/** By find(1): Deno itself asks for all permissions below /proc. */
function findNamespaces(...roots: readonly string[]): string[] {
  const { stdout } = new Deno.Command("find", {
    args: [...roots, "-lname", "net:*", "-printf", "%l\\n"],
    stderr: "null",
  }).outputSync();
  return [...new Set(new TextDecoder().decode(stdout).trim().split("\n"))].sort();
}
