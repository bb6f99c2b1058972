/**
 * What every data plane is to the agent.
 *
 * @module
 */

import type { EngineHandle } from "../engine/handle.ts";
import type { Plan, PlanChange } from "../plan/plan.ts";

/** The values of `--proxy-mode`. */
export type ProxyMode = "iptables" | "ipvs" | "nftables" | "userspace";

/** Programs a node. */
export interface DataPlane {
  readonly mode: ProxyMode;
  /** The engine that carries the packets (userspace mode) or answers for them (all others). */
  readonly engine: EngineHandle;
  /** Brings the node from the last synced plan to this one. A failed sync may be tried again. */
  sync(plan: Plan, change: PlanChange): Promise<void>;
  /**
   * Rejects when the data plane breaks down outside any call, such that only a new one can help;
   * never resolves. Absent where that cannot happen.
   */
  readonly broken?: Promise<never>;
  /** Stops serving and gives back what only a running process can hold. */
  stop(): Promise<void>;
}
