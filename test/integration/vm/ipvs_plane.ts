/**
 * ipvs mode as tests in the virtual machine start it.
 *
 * @module
 */

import { IpvsDataPlane, type IpvsModeOptions } from "../../../src/dataplane/ipvs/dataplane.ts";
import { DEFAULT_IPVS_OPTIONS } from "../../../src/dataplane/ipvs/options.ts";
import type { EngineHandle } from "../../../src/engine/handle.ts";

/** For what needs no answers. */
export const NO_ENGINE = {
  apply: () => Promise.resolve(),
} as Partial<EngineHandle> as EngineHandle;

/** Starts it in a namespace, without timers that look after the node, unless asked for. */
export function startPlane(
  namespaceFd: number,
  options: Partial<IpvsModeOptions> = {},
): Promise<IpvsDataPlane> {
  return IpvsDataPlane.start({
    engine: NO_ENGINE,
    families: ["IPv4"],
    node: "node1",
    rendering: DEFAULT_IPVS_OPTIONS,
    excludeCIDRs: [],
    strictARP: false,
    timeouts: {},
    gracefulDeadlineMs: 0,
    namespaceFd,
    // The machine's kernel knows no other.
    backend: "legacy",
    watchPeriodMs: 0,
    confirmationMs: 0,
    ...options,
  });
}
