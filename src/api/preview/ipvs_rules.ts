/**
 * What a change of the plan would change of what ipvs mode has on the node.
 *
 * @module
 */

import { Breath } from "../../cluster/manifests/breath.ts";
import type { RenderProblem } from "../../dataplane/dataplane.ts";
import { DesiredState } from "../../dataplane/ipvs/desired.ts";
import { diffStates } from "../../dataplane/ipvs/diff.ts";
import type { IpvsOptions } from "../../dataplane/ipvs/options.ts";
import { changeLines } from "../../dataplane/ipvs/sent.ts";
import type { Family } from "../../net/address.ts";
import type { Plan } from "../../plan/plan.ts";
import type { RuleChange, RuleForecast } from "./rules.ts";

/** Services that are rendered in one go. */
const BATCH = 50;

/** What ipvs mode would change in a family: of addresses, sets, virtual servers and rules. */
export async function ipvsChange(
  { before, after, change }: RuleForecast,
  family: Family,
  options: IpvsOptions,
): Promise<RuleChange> {
  const former = (await desiredState(before, family, options)).desired;
  const next = change.node === null ? null : await desiredState(after, family, options);
  const { change: step, problems } = next === null
    ? former.apply(change)
    : { change: diffStates(former.state, next.desired.state), problems: next.problems };
  return {
    family,
    ...changeLines(step, family),
    text: null,
    problems: problems.map(({ service, message }) => `Service ${service}: ${message}`),
  };
}

/** The state for a plan, made some Services at a time, so that syncs need not wait for all. */
async function desiredState(
  plan: Plan,
  family: Family,
  options: IpvsOptions,
): Promise<{ readonly desired: DesiredState; readonly problems: readonly RenderProblem[] }> {
  const { desired } = DesiredState.of({ ...plan, services: new Map() }, family, options);
  const services = [...plan.services.values()];
  const problems: RenderProblem[] = [];
  const breath = new Breath();
  for (let from = 0; from < services.length; from += BATCH) {
    const updated = services.slice(from, from + BATCH);
    problems.push(...desired.apply({ updated, removed: [] }).problems);
    await breath.take();
  }
  return { desired, problems };
}
