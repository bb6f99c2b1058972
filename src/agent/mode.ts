/**
 * Which proxy modes can be had with a configuration.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import { UsageError } from "../config/usage.ts";
import type { ProxyMode } from "../dataplane/dataplane.ts";

/** The modes that are there. */
const AVAILABLE: readonly ProxyMode[] = ["iptables", "ipvs", "userspace"];

/**
 * Refuses a mode that is not there, and what this one cannot do of what was asked for.
 *
 * @throws {UsageError}
 */
export function checkMode(
  config: Pick<Config, "detectLocalMode" | "scheduler">,
  mode: ProxyMode,
): void {
  if (!AVAILABLE.includes(mode)) {
    throw new UsageError(
      `--proxy-mode "${mode}": it is not there yet; expected ${AVAILABLE.join(", ")}`,
    );
  }
  if (mode === "ipvs" && config.scheduler === "random") {
    throw new UsageError(
      '--ipvs-scheduler "random": the kernel has none of that name; expected one of IPVS',
    );
  }
  if (mode !== "userspace") return;
  const { detectLocalMode } = config;
  if (detectLocalMode === "BridgeInterface" || detectLocalMode === "InterfaceNamePrefix") {
    throw new UsageError(
      `--detect-local-mode "${detectLocalMode}": userspace mode knows pods by their addresses; ` +
        "expected ClusterCIDR or NodeCIDR",
    );
  }
}
