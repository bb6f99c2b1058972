/**
 * What data planes leave on a node, by mode, and taking it away.
 *
 * @module
 */

import { cleanupIptables } from "../dataplane/iptables/cleanup.ts";
import type { ProgramRunner } from "../dataplane/iptables/programs.ts";
import { cleanupIpvs } from "../dataplane/ipvs/cleanup.ts";
import { cleanupNftables } from "../dataplane/nftables/cleanup.ts";
import { cleanupUserspace } from "../dataplane/userspace/cleanup.ts";

/** Takes off a node what one mode left there; resolves with what failed, one line each. */
type Cleanup = (runner: ProgramRunner) => Promise<readonly string[]> | readonly string[];

/** In the order in which a node is cleaned up: ipvs mode has rules in the tables of iptables mode. */
const CLEANUPS = {
  ipvs: cleanupIpvs,
  iptables: cleanupIptables,
  nftables: (runner) => runner.inside(cleanupNftables),
  userspace: (runner) => runner.inside(cleanupUserspace),
} as const satisfies Record<string, Cleanup>;

/** A mode that can be cleaned up after. */
export type LeavingMode = keyof typeof CLEANUPS;

/** All of them. */
const LEAVING_MODES = Object.keys(CLEANUPS) as readonly LeavingMode[];

/** Cleans up after these modes. Goes on after a failure; resolves with what failed, one line each. */
export async function cleanupModes(
  runner: ProgramRunner,
  modes: readonly LeavingMode[] = LEAVING_MODES,
): Promise<readonly string[]> {
  const failures: string[] = [];
  for (const mode of LEAVING_MODES) {
    if (modes.includes(mode)) failures.push(...await CLEANUPS[mode](runner));
  }
  return failures;
}
