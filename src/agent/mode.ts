/**
 * Which proxy mode runs.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import { UsageError } from "../config/usage.ts";
import type { ProxyMode } from "../dataplane/dataplane.ts";
import type { SchedulerName } from "../plan/plan.ts";

/** The modes that can be had. */
const AVAILABLE: readonly ProxyMode[] = ["userspace"];

/** The schedulers of the engine. */
const USERSPACE_SCHEDULERS: readonly SchedulerName[] = ["rr", "random"];

/** The mode that was asked for, or the best that can be had, and why it is not a better one. */
export function selectMode(
  config: Pick<Config, "proxyMode" | "scheduler">,
): { readonly mode: ProxyMode; readonly note: string | null } {
  const { proxyMode: asked, scheduler } = config;
  if (asked !== null && !AVAILABLE.includes(asked)) {
    throw new UsageError(
      `--proxy-mode "${asked}": it is not there yet; expected ${AVAILABLE.join(", ")}`,
    );
  }
  if (scheduler !== null && !USERSPACE_SCHEDULERS.includes(scheduler)) {
    const expected = USERSPACE_SCHEDULERS.join(", ");
    throw new UsageError(
      `--ipvs-scheduler "${scheduler}": userspace mode has it not yet; expected ${expected}`,
    );
  }
  if (asked === null) {
    return { mode: "userspace", note: "proxy mode userspace, as iptables mode is not there yet" };
  }
  return { mode: asked, note: null };
}
