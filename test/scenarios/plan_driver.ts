/**
 * The plan itself as a data plane.
 *
 * @module
 */

import type { ClusterChange } from "../../src/cluster/source.ts";
import { decide } from "../../src/plan/decide.ts";
import { FrontendIndex } from "../../src/plan/frontend_index.ts";
import { Planner } from "../../src/plan/planner.ts";
import { type Configuration, type Flow, plannerConfig } from "./format.ts";
import type { FlowOutcome, ScenarioDriver } from "./runner.ts";

/** Asks the plan where flows go. */
export class PlanDriver implements ScenarioDriver {
  readonly name = "plan";
  readonly tolerance = 0;
  #planner: Planner | null = null;
  #index: FrontendIndex | null = null;

  start(configuration: Configuration): Promise<void> {
    this.#planner = new Planner(plannerConfig(configuration));
    this.#index = new FrontendIndex(this.#planner.plan);
    return Promise.resolve();
  }

  step(changes: readonly ClusterChange[]): Promise<void> {
    this.#index!.apply(this.#planner!.update(changes));
    return Promise.resolve();
  }

  flow({ from, to }: Pick<Flow, "from" | "to">): Promise<FlowOutcome> {
    const query = { source: from, dest: to.address, port: to.port, protocol: to.protocol };
    const { verdict, backends } = decide(this.#planner!.plan, query, this.#index!);
    const match = this.#index!.find(to.address, to.port, to.protocol);
    const sticky = verdict === "FORWARD" && match!.port.affinitySeconds !== null;
    return Promise.resolve({ verdict, backends, sticky });
  }

  stop(): Promise<void> {
    this.#planner = null;
    this.#index = null;
    return Promise.resolve();
  }
}
