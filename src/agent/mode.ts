/**
 * Which proxy mode runs.
 *
 * @module
 */

import type { Config } from "../config/config.ts";
import { UsageError } from "../config/usage.ts";
import type { ProxyMode } from "../dataplane/dataplane.ts";

/** The modes that can be had. */
const AVAILABLE: readonly ProxyMode[] = ["userspace"];

/** The mode that was asked for, or the best that can be had, and why it is not a better one. */
export function selectMode(
  config: Pick<Config, "proxyMode">,
): { readonly mode: ProxyMode; readonly note: string | null } {
  const asked = config.proxyMode;
  if (asked === null) {
    return { mode: "userspace", note: "proxy mode userspace, as iptables mode is not there yet" };
  }
  if (AVAILABLE.includes(asked)) return { mode: asked, note: null };
  throw new UsageError(
    `--proxy-mode "${asked}": it is not there yet; expected ${AVAILABLE.join(", ")}`,
  );
}
