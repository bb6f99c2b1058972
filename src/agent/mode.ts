/**
 * Which proxy mode runs.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import { UsageError } from "../config/usage.ts";
import type { ProxyMode } from "../dataplane/dataplane.ts";
import type { SchedulerName } from "../plan/plan.ts";

/** The modes that `run` can have. */
const AVAILABLE: readonly ProxyMode[] = ["userspace"];

/** The modes that can be rendered and explained. */
const RENDERED: readonly ProxyMode[] = ["iptables", "userspace"];

/** The schedulers of the engine. */
const USERSPACE_SCHEDULERS: readonly SchedulerName[] = ["rr", "random"];

/** What the choice of a mode depends on. */
type ModeConfig = Pick<Config, "proxyMode" | "scheduler" | "detectLocalMode">;

/**
 * Refuses a mode that is not there, and what this one cannot do of what was asked for.
 *
 * @throws {UsageError}
 */
export function checkMode(
  config: ModeConfig,
  mode: ProxyMode,
  modes: readonly ProxyMode[] = RENDERED,
): void {
  if (!modes.includes(mode)) {
    throw new UsageError(
      `--proxy-mode "${mode}": it is not there yet; expected ${modes.join(", ")}`,
    );
  }
  if (mode !== "userspace") return;
  const { scheduler, detectLocalMode } = config;
  if (scheduler !== null && !USERSPACE_SCHEDULERS.includes(scheduler)) {
    const expected = USERSPACE_SCHEDULERS.join(", ");
    throw new UsageError(
      `--ipvs-scheduler "${scheduler}": userspace mode has it not yet; expected ${expected}`,
    );
  }
  if (detectLocalMode === "BridgeInterface" || detectLocalMode === "InterfaceNamePrefix") {
    throw new UsageError(
      `--detect-local-mode "${detectLocalMode}": userspace mode knows pods by their addresses; ` +
        "expected ClusterCIDR or NodeCIDR",
    );
  }
}

/** The mode that was asked for, or the best that can be had, and why it is not a better one. */
export function selectMode(
  config: ModeConfig,
): { readonly mode: ProxyMode; readonly note: string | null } {
  const mode = config.proxyMode ?? "userspace";
  checkMode(config, mode, AVAILABLE);
  const note = config.proxyMode === null
    ? "proxy mode userspace, as iptables mode is not there yet"
    : null;
  return { mode, note };
}
