/**
 * The parts of the configuration that are made of several flags.
 *
 * @module
 */

import type { SchedulerFlagName } from "../plan/plan.ts";
import { flagsOfScheduler } from "../plan/scheduling.ts";
import type { FlagName, FlagValues } from "./flag_table.ts";
import { UsageError } from "./usage.ts";

/** How often the node may and must be synced, milliseconds. */
export interface SyncPeriods {
  /** Least time from the start of one sync to the start of the next. */
  readonly minMs: number;
  /** A sync that failed is tried again after this time; health waits twice as long. */
  readonly periodMs: number;
}

/**
 * What two flags say.
 *
 * @throws {UsageError} when they contradict each other and are those of the mode that is chosen.
 */
export function periods(
  values: FlagValues,
  minFlag: "iptables-min-sync-period" | "ipvs-min-sync-period",
  periodFlag: "iptables-sync-period" | "ipvs-sync-period",
): SyncPeriods {
  const minMs = values[minFlag]!;
  const periodMs = values[periodFlag]!;
  const shown = (name: FlagName, ms: number) => `--${name} "${ms / 1000}s"`;
  const isRead = (values["proxy-mode"] === "ipvs") === periodFlag.startsWith("ipvs");
  // As in kube-proxy, the periods of modes that are not chosen are not judged.
  if (!isRead) return { minMs, periodMs };
  if (periodMs <= 0) {
    throw new UsageError(`${shown(periodFlag, periodMs)}: expected more than 0`);
  }
  if (minMs > periodMs) {
    throw new UsageError(
      `${shown(minFlag, minMs)}: expected at most --${periodFlag}, which is ${periodMs / 1000}s`,
    );
  }
  return { minMs, periodMs };
}

/** What the kernel's connection tracking is to have; times in milliseconds, 0: as it is. */
export interface ConntrackLimits {
  /** Connections for each CPU; 0: as it is, whatever {@link min}. */
  readonly maxPerCore: number;
  readonly min: number;
  readonly tcpEstablishedMs: number;
  readonly tcpCloseWaitMs: number;
  readonly udpMs: number;
  readonly udpStreamMs: number;
  readonly tcpBeLiberal: boolean;
}

/** What the flags of connection tracking say. */
export function conntrackLimits(values: FlagValues): ConntrackLimits {
  return {
    maxPerCore: values["conntrack-max-per-core"]!,
    min: values["conntrack-min"]!,
    tcpEstablishedMs: values["conntrack-tcp-timeout-established"]!,
    tcpCloseWaitMs: values["conntrack-tcp-timeout-close-wait"]!,
    udpMs: values["conntrack-udp-timeout"]!,
    udpStreamMs: values["conntrack-udp-timeout-stream"]!,
    tcpBeLiberal: values["conntrack-tcp-be-liberal"]!,
  };
}

/** What is logged and how. */
export interface LoggingConfig {
  readonly format: "text" | "json";
  /** As `-v` of the Kubernetes components. */
  readonly verbosity: number;
  /** Verbosity of parts whose names match a pattern, the first that does. */
  readonly byPart: readonly { readonly pattern: string; readonly verbosity: number }[];
}

/**
 * What the flags of logging say.
 *
 * @throws {UsageError} when the format cannot do what is asked for.
 */
export function loggingConfig(values: FlagValues): LoggingConfig {
  const format = values["logging-format"]!;
  const byPart = values.vmodule!;
  if (format !== "text" && byPart.length > 0) {
    throw new UsageError("--vmodule: it is only supported for the text log format");
  }
  return { format, verbosity: values.v!, byPart };
}

/** What ipvs mode alone is told. */
export interface IpvsConfig {
  /** Networks whose virtual servers are left alone. */
  readonly excludeCIDRs: readonly string[];
  readonly strictARP: boolean;
  /** How long connections last without packets, milliseconds; 0: as the kernel has it. */
  readonly tcpTimeoutMs: number;
  readonly tcpFinTimeoutMs: number;
  readonly udpTimeoutMs: number;
  /** When connections to a removed endpoint end at the latest, milliseconds; 0: by themselves. */
  readonly gracefulDeadlineMs: number;
}

/** What the flags of ipvs mode say. */
export function ipvsConfig(values: FlagValues): IpvsConfig {
  return {
    excludeCIDRs: values["ipvs-exclude-cidrs"]!,
    strictARP: values["ipvs-strict-arp"]!,
    tcpTimeoutMs: values["ipvs-tcp-timeout"]!,
    tcpFinTimeoutMs: values["ipvs-tcpfin-timeout"]!,
    udpTimeoutMs: values["ipvs-udp-timeout"]!,
    gracefulDeadlineMs: values["ipvs-graceful-deadline"]!,
  };
}

/**
 * What the scheduler is told.
 *
 * @throws {UsageError} on a flag that it does not have.
 */
export function schedulerFlags(values: FlagValues): readonly SchedulerFlagName[] {
  const scheduler = values["ipvs-scheduler"] ?? "rr";
  const flags = values["ipvs-scheduler-flags"]!;
  const known = flagsOfScheduler(scheduler);
  const other = flags.find((flag) => !known.includes(flag));
  if (other === undefined) return flags;
  throw new UsageError(
    `--ipvs-scheduler-flags "${other}": scheduler ${scheduler} takes ` +
      (known.length === 0 ? "none" : known.join(", ")),
  );
}

/** The values of `--detect-local-mode`. */
export type LocalDetectionMode =
  | "ClusterCIDR"
  | "NodeCIDR"
  | "BridgeInterface"
  | "InterfaceNamePrefix";

/** The modes that need another flag. */
const INTERFACE_FLAGS = {
  BridgeInterface: "pod-bridge-interface",
  InterfaceNamePrefix: "pod-interface-name-prefix",
} as const;

/**
 * How traffic of pods is told.
 *
 * @param asked whether only help is asked for: then nothing is missing.
 * @throws {UsageError} when the flag that the mode needs is missing.
 */
export function detectLocalMode(values: FlagValues, asked: boolean): LocalDetectionMode {
  const mode = values["detect-local-mode"]!;
  if (mode === "ClusterCIDR" || mode === "NodeCIDR") return mode;
  const flag = INTERFACE_FLAGS[mode];
  if (values[flag] !== "" || asked) return mode;
  throw new UsageError(`--detect-local-mode "${mode}": expected --${flag} too`);
}
