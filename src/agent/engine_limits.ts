/**
 * What kube-proxy sets of the kernel's connection tracking, for that of userspace mode's engine.
 *
 * @module
 */

import type { ConntrackLimits } from "../config/parts.ts";
import type { Tracking } from "../dataplane/userspace/worker.ts";
import { MAX_TIMEOUT } from "../engine/engine.ts";
import { logicalCpus } from "./kernel_settings.ts";

/** Connections that the engine's memory has room for beside all else; 1 GiB of it. */
const MOST_CONNECTIONS = 1 << 24;

/** As kube-proxy would set the kernel; what is 0 stays as the engine has it, which is as Linux. */
export function engineLimits(limits: ConntrackLimits, cpus = logicalCpus()): Tracking {
  const { maxPerCore, min, tcpEstablishedMs, tcpCloseWaitMs, udpMs, udpStreamMs } = limits;
  const most = Math.min(Math.max(maxPerCore * cpus, min), MOST_CONNECTIONS);
  return {
    connections: maxPerCore === 0 ? undefined : most,
    tcpTimeouts: { established: seconds(tcpEstablishedMs), closeWait: seconds(tcpCloseWaitMs) },
    udpTimeouts: { single: seconds(udpMs), stream: seconds(udpStreamMs) },
  };
}

function seconds(ms: number): number | undefined {
  return ms === 0 ? undefined : Math.min(ms / 1000, MAX_TIMEOUT);
}
