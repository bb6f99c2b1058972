/**
 * Flags of the kernel's own load balancer and connection tracking.
 *
 * @module
 */

import { AGENT, booleanFlag, flag, type FlagSpec, listFlag, planning } from "../flag_spec.ts";
import { SCHEDULER_NAMES } from "../../plan/scheduling.ts";
import * as value from "../values.ts";

export const KERNEL_FLAGS = {
  "ipvs-scheduler": flag(
    value.oneOf(SCHEDULER_NAMES),
    "NAME",
    null,
    "how backends are chosen, in userspace mode too; unset: rr",
    { ...planning, emptyIsUnset: true },
  ),
  "ipvs-scheduler-flags": listFlag(
    value.schedulerFlags,
    "FLAG",
    "",
    "what that scheduler is told: sh-fallback, sh-port, mh-fallback, mh-port; unset: mh-port for mh; " +
      "ipvs mode always falls back",
    planning,
  ),
  "ipvs-graceful-deadline": flag(
    value.duration,
    "DURATION",
    "0s",
    "in ipvs mode, when a removed endpoint's connections end at the latest; 0s: when they end",
  ),
  "ipvs-sync-period": flag(
    value.duration,
    "DURATION",
    "30s",
    "in ipvs mode, a sync that failed is tried again after this, and flushes are looked for",
  ),
  "ipvs-min-sync-period": flag(
    value.duration,
    "DURATION",
    "1s",
    "least time from one sync to the next in ipvs mode",
  ),
  "ipvs-exclude-cidrs": listFlag(
    value.networks,
    "NETWORK",
    "",
    "networks whose virtual servers are left alone but for those that Services ask for",
    { commands: [...AGENT, "diff"] },
  ),
  "ipvs-strict-arp": booleanFlag(
    false,
    "ARP is answered and announced for the link's own addresses only (arp_ignore 1, arp_announce 2)",
  ),
  "ipvs-tcp-timeout": flag(
    value.duration,
    "DURATION",
    "0s",
    "idle TCP connections of ipvs mode; 0s: as the kernel has it",
  ),
  "ipvs-tcpfin-timeout": flag(
    value.duration,
    "DURATION",
    "0s",
    "TCP connections of ipvs mode after a FIN; 0s: as the kernel has it",
  ),
  "ipvs-udp-timeout": flag(
    value.duration,
    "DURATION",
    "0s",
    "idle UDP flows of ipvs mode; 0s: as the kernel has it",
  ),
  "conntrack-max-per-core": flag(
    value.integer(0, 2 ** 31 - 1),
    "N",
    "32768",
    "connections that the kernel tracks for each CPU, in the kernel's modes; 0: as it is",
  ),
  "conntrack-min": flag(
    value.integer(0, 2 ** 31 - 1),
    "N",
    "131072",
    "connections that the kernel tracks at least, unless --conntrack-max-per-core is 0",
  ),
  "conntrack-tcp-timeout-established": flag(
    value.duration,
    "DURATION",
    "24h",
    "how long the kernel tracks idle TCP connections; 0: as it is",
  ),
  "conntrack-tcp-timeout-close-wait": flag(
    value.duration,
    "DURATION",
    "1h",
    "how long the kernel tracks TCP connections in CLOSE_WAIT; 0: as it is",
  ),
  "conntrack-tcp-be-liberal": booleanFlag(
    false,
    "have the kernel track TCP packets out of window too",
  ),
  "conntrack-udp-timeout": flag(
    value.duration,
    "DURATION",
    "0s",
    "how long the kernel tracks UDP flows without an answer; 0: as it is",
  ),
  "conntrack-udp-timeout-stream": flag(
    value.duration,
    "DURATION",
    "0s",
    "how long the kernel tracks UDP flows with answers; 0: as it is",
  ),
} satisfies Record<string, FlagSpec>;
