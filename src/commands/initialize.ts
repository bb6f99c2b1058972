/**
 * `--init-only`: sets what needs full privileges, so that afterwards the agent does with CAP_NET_ADMIN
 * and CAP_NET_RAW, and /proc/sys may be read-only.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { setConntrack } from "../agent/kernel_settings.ts";
import { checkMode } from "../agent/mode.ts";
import type { Config } from "../config/config.ts";
import type { ProxyMode } from "../dataplane/dataplane.ts";
import { ProgramRunner } from "../dataplane/iptables/programs.ts";
import { tryIptables } from "../dataplane/iptables/trial.ts";
import { NetlinkKernel } from "../dataplane/ipvs/kernel.ts";
import { ipvsSysctls, setSysctls } from "../dataplane/ipvs/sysctls.ts";
import { tryIpvs } from "../dataplane/ipvs/trial.ts";
import { messageOf } from "../errors.ts";
import { writeSysctl } from "../linux/sysctl.ts";
import { networkContains, parseNetwork } from "../net/address.ts";
import { complainLines } from "./io.ts";

const logger = getLogger(["switchyard", "run"]);

/** Resolves with the exit status: 1 when something could not be set. */
export async function initializeNode(config: Config): Promise<number> {
  const mode = config.proxyMode ?? "iptables";
  checkMode(config, mode);
  if (mode === "userspace") return 0;
  await loadModules(config, mode);
  const failures = setConntrack(config.conntrack);
  try {
    if (mode === "ipvs") initializeIpvs(config);
    if (mode === "iptables" && answersOnLoopback(config)) {
      writeSysctl("net.ipv4.conf.all.route_localnet", 1);
    }
  } catch (error) {
    failures.push(messageOf(error));
  }
  complainLines(...failures.map((failure) => `switchyard: --init-only: ${failure}`));
  return failures.length > 0 ? 1 : 0;
}

/**
 * Does once what the agent will do, as the tables of legacy iptables are modules of the kernel that
 * only a process with all rights may load. What does not work here the agent tells, by its own lights.
 */
async function loadModules({ families, scheduler }: Config, mode: ProxyMode): Promise<void> {
  const runner = new ProgramRunner();
  try {
    if (mode === "ipvs") await tryIpvs(runner, families, scheduler ?? "rr");
    if (mode === "iptables") await tryIptables(runner, families);
  } catch (error) {
    logger.debug("{mode} mode was tried: {error}", { mode, error: messageOf(error) });
  }
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
