/**
 * `--init-only`: sets what needs full privileges, so that afterwards the agent does with CAP_NET_ADMIN
 * and CAP_NET_RAW, and /proc/sys may be read-only.
 *
 * @module
 */

import { setConntrack } from "../agent/kernel_settings.ts";
import { checkMode } from "../agent/mode.ts";
import type { Config } from "../config/config.ts";
import { NetlinkKernel } from "../dataplane/ipvs/kernel.ts";
import { ipvsSysctls, setSysctls } from "../dataplane/ipvs/sysctls.ts";
import { messageOf } from "../errors.ts";
import { writeSysctl } from "../linux/sysctl.ts";
import { networkContains, parseNetwork } from "../net/address.ts";
import { complainLines } from "./io.ts";

/** The exit status: 1 when something could not be set. */
export function initializeNode(config: Config): number {
  const mode = config.proxyMode ?? "iptables";
  checkMode(config, mode);
  if (mode === "userspace") return 0;
  const failures = setConntrack(config.conntrack);
  try {
    if (mode === "ipvs") initializeIpvs(config);
    else if (answersOnLoopback(config)) writeSysctl("net.ipv4.conf.all.route_localnet", 1);
  } catch (error) {
    failures.push(messageOf(error));
  }
  complainLines(...failures.map((failure) => `switchyard: --init-only: ${failure}`));
  return failures.length > 0 ? 1 : 0;
}

/** The kernel has IPVS, and its parameters, once it was asked for it. */
function initializeIpvs(config: Config): void {
  NetlinkKernel.open().close();
  setSysctls(ipvsSysctls(Deno.osRelease(), config.ipvs.strictARP));
}

/** As in kube-proxy, no network of IPv4 stands for all addresses. */
function answersOnLoopback({ localhostNodePorts, nodePortAddresses, families }: Config): boolean {
  if (!localhostNodePorts || !families.includes("IPv4")) return false;
  if (nodePortAddresses[0] === "primary") return false;
  const networks = nodePortAddresses.map(parseNetwork)
    .filter((network) => network?.family === "IPv4");
  return networks.length === 0 ||
    networks.some((network) => networkContains(network!, "127.0.0.1"));
}
