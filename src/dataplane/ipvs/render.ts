/**
 * Plan to state: pure.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import type { Plan } from "../../plan/plan.ts";
import type { RenderProblem } from "../dataplane.ts";
import { DesiredState } from "./desired.ts";
import type { IpvsOptions } from "./options.ts";
import type { IpvsState } from "./state.ts";

/** A state, and what of the plan is not in it. */
export interface RenderedState {
  readonly state: IpvsState;
  readonly problems: readonly RenderProblem[];
}

/** Renders the whole plan for one family. */
export function render(plan: Plan, family: Family, options: IpvsOptions): RenderedState {
  const { desired, problems } = DesiredState.of(plan, family, options);
  return { state: desired.state, problems };
}
