/**
 * Which proxy modes can be had with a configuration.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import { UsageError } from "../config/usage.ts";
import type { ProxyMode } from "../dataplane/dataplane.ts";

/**
 * Refuses what a mode cannot do of what was asked for.
 *
 * @throws {UsageError}
 */
export function checkMode(
  config: Pick<Config, "detectLocalMode" | "scheduler">,
  mode: ProxyMode,
): void {
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
