/**
 * Plan to rule set: pure, and the same rules as kube-proxy's in every chain.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import { type Plan, type ServiceChanges, serviceKey, type ServicePlan } from "../../plan/plan.ts";
import type { RenderProblem } from "../dataplane.ts";
import { nftablesContext, type NftablesRuleOptions } from "./options.ts";
import { renderHead } from "./render_head.ts";
import { unrenderable } from "./render_service.ts";
import type { Fragment, RuleSet } from "./rules.ts";
import { ServiceFragment } from "./service_fragment.ts";

/** A rule set, and what of the plan is not in it. */
export interface Rendered {
  readonly rules: RuleSet;
  readonly problems: readonly RenderProblem[];
}

/** Renders the whole plan for one family. */
export function render(plan: Plan, family: Family, options: NftablesRuleOptions): Rendered {
  const context = nftablesContext(family, plan, options);
  const problems: RenderProblem[] = [];
  const services = new Map<string, Fragment>();
  for (const key of [...plan.services.keys()].sort()) {
    const fragment = accepted(plan.services.get(key)!, problems, context);
    if (fragment !== null) services.set(key, fragment);
  }
  return { rules: { family, context, head: renderHead(context), services }, problems };
}

/**
 * Renders only the Services that changed; all else is taken from `previous`, which stays as it is.
 * For a change of the node's info, or of the networks of cluster IPs, use {@link render}.
 */
export function renderChange(previous: RuleSet, changes: ServiceChanges): Rendered {
  const { context } = previous;
  const problems: RenderProblem[] = [];
  const services = new Map(previous.services);
  for (const key of changes.removed) services.delete(key);
  let isNew = false;
  for (const service of changes.updated) {
    const key = serviceKey(service);
    const fragment = accepted(service, problems, context);
    if (fragment === null) services.delete(key);
    else {
      isNew ||= !services.has(key);
      services.set(key, fragment);
    }
  }
  return { rules: { ...previous, services: isNew ? sorted(services) : services }, problems };
}

function accepted(
  service: ServicePlan,
  problems: RenderProblem[],
  context: RuleSet["context"],
): Fragment | null {
  const message = unrenderable(service);
  if (message === null) return ServiceFragment.of(service, context);
  problems.push({ service: serviceKey(service), message });
  return null;
}

function sorted(services: ReadonlyMap<string, Fragment>) {
  return new Map([...services.keys()].sort().map((key) => [key, services.get(key)!]));
}
