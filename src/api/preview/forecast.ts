/**
 * What would become of the plan with some changes of the cluster. Nothing is applied.
 *
 * @module
 */

import type { ClusterChange } from "../../cluster/source.ts";
import { formatProblem } from "../../cluster/source.ts";
import { diffService, type ServiceDifference } from "../../plan/difference.ts";
import { type Plan, type PlanChange, touchedServices } from "../../plan/plan.ts";
import type { Planner } from "../../plan/planner.ts";

/** The plan as it is and as it would be. */
export interface Forecast {
  readonly before: Plan;
  readonly after: Plan;
  readonly change: PlanChange;
  /** By "namespace/name". */
  readonly services: readonly ServiceDifference[];
  /** Problems of the plan that would come and go, one line each. */
  readonly newProblems: readonly string[];
  readonly solvedProblems: readonly string[];
}

/** @param planner a fork that nothing else uses: it is changed. */
export function forecast(planner: Planner, changes: readonly ClusterChange[]): Forecast {
  const { node, services } = planner.plan;
  const before: Plan = { node, services: new Map(services) };
  const problems = new Set(planner.problems.map(formatProblem));
  const change = planner.update(changes);
  const after = planner.plan;
  const then = new Set(planner.problems.map(formatProblem));
  const touched = [...touchedServices(change)].sort();
  return {
    before,
    after,
    change,
    services: touched.map((key) =>
      diffService(before.services.get(key) ?? null, after.services.get(key) ?? null)
    ),
    newProblems: [...then.difference(problems)],
    solvedProblems: [...problems.difference(then)],
  };
}
