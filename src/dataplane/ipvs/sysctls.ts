/**
 * The kernel parameters of ipvs mode, as kube-proxy sets them.
 *
 * @module
 */

import { messageOf } from "../../errors.ts";
import { readSysctl, writeSysctl } from "../../linux/sysctl.ts";

/**
 * Those of a kernel's release. With connections tracked, rules can masquerade what IPVS forwards;
 * connections to a server that is gone end at the next packet; and clients that stay with a server
 * leave one of weight 0.
 *
 * From 4.1 to 5.8 a client's port that is used again for a new connection would wait a second
 * (conn_reuse_mode 1 drops the first packet where connections are tracked); later kernels don't.
 */
export function ipvsSysctls(
  release: string,
  strictARP: boolean,
): ReadonlyMap<string, number> {
  return new Map([
    ["net.ipv4.vs.conntrack", 1],
    ...(delaysReuse(release) ? [["net.ipv4.vs.conn_reuse_mode", 0] as const] : []),
    ["net.ipv4.vs.expire_nodest_conn", 1],
    ["net.ipv4.vs.expire_quiescent_template", 1],
    ["net.ipv4.ip_forward", 1],
    ...(strictARP
      ? [["net.ipv4.conf.all.arp_ignore", 1], ["net.ipv4.conf.all.arp_announce", 2]] as const
      : []),
  ]);
}

function delaysReuse(release: string): boolean {
  const [major, minor] = release.split(".").map((part) => parseInt(part, 10));
  const version = major * 1000 + minor;
  return version >= 4001 && version < 5009;
}

/**
 * Sets what is other in this thread's namespace. In a container that is not privileged all are
 * read-only, so that another one has to set them before.
 *
 * @throws {Error} naming the parameter, what it is and what it has to be.
 */
export function setSysctls(sysctls: ReadonlyMap<string, number>): void {
  for (const [name, value] of sysctls) {
    const found = readSysctl(name);
    if (found === String(value)) continue;
    try {
      writeSysctl(name, value);
    } catch (error) {
      throw new Error(
        `${name}: expected ${value}, found ${found ?? "none"}, and it cannot be set ` +
          `(${messageOf(error)}); a privileged --init-only sets it`,
      );
    }
  }
}
