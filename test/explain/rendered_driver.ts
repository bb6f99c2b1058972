/**
 * What a mode renders as a data plane: asked by the evaluator of its rules, on no node.
 *
 * @module
 */

import type { ClusterChange } from "../../src/cluster/source.ts";
import type { Answer } from "../../src/explain/answer.ts";
import type { PlannerConfig } from "../../src/plan/node.ts";
import type { Plan } from "../../src/plan/plan.ts";
import { Planner } from "../../src/plan/planner.ts";
import type { Way } from "../scenarios/answers.ts";
import { type Configuration, plannerConfig } from "../scenarios/format.ts";
import type { FlowOutcome, ScenarioDriver } from "../scenarios/runner.ts";

/** Evaluates what becomes of flows by what is rendered for a plan. */
export type Evaluator = (plan: Plan, configuration: Configuration) => (way: Way) => FlowOutcome;

/** Runs scenarios through an evaluator. */
export class RenderedDriver implements ScenarioDriver {
  readonly #evaluator: Evaluator;
  readonly #settings: Partial<PlannerConfig>;
  #configuration: Configuration | null = null;
  #planner: Planner | null = null;
  #evaluate: ReturnType<Evaluator> | null = null;

  constructor(
    readonly name: string,
    readonly tolerance: number,
    evaluator: Evaluator,
    settings: Partial<PlannerConfig> = {},
  ) {
    this.#evaluator = evaluator;
    this.#settings = settings;
  }

  start(configuration: Configuration): Promise<void> {
    this.#configuration = configuration;
    this.#planner = new Planner({ ...plannerConfig(configuration), ...this.#settings });
    return Promise.resolve();
  }

  step(changes: readonly ClusterChange[]): Promise<void> {
    this.#planner!.update(changes);
    this.#evaluate = this.#evaluator(this.#planner!.plan, this.#configuration!);
    return Promise.resolve();
  }

  flow(way: Way): Promise<FlowOutcome> {
    return Promise.resolve(this.#evaluate!(way));
  }

  stop(): Promise<void> {
    this.#configuration = this.#planner = this.#evaluate = null;
    return Promise.resolve();
  }
}

/** The question that is asked about a flow. */
export function questionOf({ from, to: { address, port, protocol } }: Way) {
  return { name: "", source: from, dest: address, port, protocol };
}

/** An answer in the words of scenarios. Throws when rules leave anything open. */
export function outcomeOf({ verdict, backends, steps, unknown }: Answer): FlowOutcome {
  if (unknown.length > 0) throw new Error(JSON.stringify(unknown));
  return { verdict, backends, sticky: steps.some(({ action }) => / now holds /.test(action)) };
}
