/**
 * A data plane for a node that cannot or must not be programmed: the engine follows the plan and
 * answers queries, and no packet is touched.
 *
 * @module
 */

import type { DataPlane, ProxyMode } from "../dataplane/dataplane.ts";
import type { EngineHandle } from "../engine/handle.ts";
import type { Plan, PlanChange } from "../plan/plan.ts";

/** Feeds the plan to an engine, and to nothing else. */
export class QueryOnlyDataPlane implements DataPlane {
  readonly mode: ProxyMode;
  readonly engine: EngineHandle;

  /** @param mode the mode that the answers are for. */
  constructor(mode: ProxyMode, engine: EngineHandle) {
    this.mode = mode;
    this.engine = engine;
  }

  sync(_plan: Plan, change: PlanChange): Promise<void> {
    return this.engine.apply(change);
  }

  stop(): Promise<void> {
    return Promise.resolve();
  }
}
