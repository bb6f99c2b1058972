/**
 * What the HTTP API is a view of.
 *
 * @module
 */

import type { ClusterProblem } from "../cluster/source.ts";
import type { ProxyMode } from "../dataplane/dataplane.ts";
import type { EngineHandle } from "../engine/handle.ts";
import type { Family } from "../net/address.ts";
import type { Plan } from "../plan/plan.ts";

/** Health as the probes report it; times are milliseconds since the epoch. */
export interface HealthReport {
  readonly healthy: boolean;
  /** Whether load balancers may send new connections here. */
  readonly nodeEligible: boolean;
  readonly currentTime: number;
  /** The current time when healthy; else when the first unhealthy family was last in step. */
  readonly lastUpdated: number;
  readonly status: readonly {
    readonly family: Family;
    readonly healthy: boolean;
    readonly lastUpdated: number;
  }[];
}

/** The running proxy, read only. */
export interface ApiState {
  readonly mode: ProxyMode;
  /** Whether this node's traffic is forwarded, or only queries are answered. */
  readonly programming: boolean;
  readonly engine: EngineHandle;
  /** The plan as it is now; not to be kept. */
  plan(): Plan;
  /** The problems that the input has now. */
  problems(): readonly ClusterProblem[];
  health(): HealthReport;
}
