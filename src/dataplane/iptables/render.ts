/**
 * Plan to rule set: pure, and the same rules as kube-proxy's in every chain.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import {
  type NodeInfo,
  type Plan,
  type ServiceChanges,
  serviceKey,
  type ServicePlan,
} from "../../plan/plan.ts";
import type { RenderProblem } from "../dataplane.ts";
import { ruleContext, type RuleOptions } from "./options.ts";
import { renderHead, renderTail } from "./render_node.ts";
import { unrenderable } from "./renderable.ts";
import type { Fragment, RuleSet } from "./rules.ts";
import { ServiceFragment } from "./service_fragment.ts";

/** With more endpoints than this, rules about endpoints have no comments. */
const LARGE_CLUSTER_ENDPOINTS = 1000;

/** A rule set, and what of the plan is not in it. */
export interface Rendered {
  readonly rules: RuleSet;
  readonly problems: readonly RenderProblem[];
}

/** A rule set that is filled Service by Service. */
export interface Rendering extends Rendered {
  /** To be gone through once: renders each Service when it is its turn, and adds it to the rules. */
  readonly arriving: Generator<ServiceFragment>;
}

/** Renders the whole plan for one family. */
export function render(plan: Plan, family: Family, options: RuleOptions): Rendered {
  const { arriving, ...rendered } = beginRendering(plan, family, options);
  for (const _ of arriving);
  return rendered;
}

/** Like {@link render}, for who uses each Service's rules before the next ones are made. */
export function beginRendering(plan: Plan, family: Family, options: RuleOptions): Rendering {
  const context = ruleContext(family, plan.node, options);
  const endpoints = { endpointComments: !isLarge(countEndpoints(plan, family)) };
  const services = new Map<string, Fragment>();
  const problems: RenderProblem[] = [];
  function* arriving(): Generator<ServiceFragment> {
    for (const key of [...plan.services.keys()].sort()) {
      const service = plan.services.get(key)!;
      const problem = unrenderable(service);
      if (problem !== null) {
        problems.push({ service: key, message: problem });
        continue;
      }
      const fragment = ServiceFragment.render(service, context, endpoints);
      if (fragment === null) continue;
      services.set(key, fragment);
      yield fragment;
    }
  }
  return {
    rules: { family, head: renderHead(context), services, tail: renderTail(context) },
    problems,
    arriving: arriving(),
  };
}

/** Rules after a change. */
export interface RenderedChange extends Rendered {
  /** Those of the Services that changed, to be released when they have been used. */
  readonly fresh: readonly ServiceFragment[];
}

/**
 * Renders only the Services that changed; all else is taken from `previous`, which stays as it is.
 * For a change of the node's info use {@link render}. As in kube-proxy, the others keep their
 * comments when the cluster becomes large, or lose to be so, by this change.
 */
export function renderChange(
  previous: RuleSet,
  node: NodeInfo,
  changes: ServiceChanges,
  options: RuleOptions,
): RenderedChange {
  const { family } = previous;
  const context = ruleContext(family, node, options);
  const problems: RenderProblem[] = [];
  const services = new Map(previous.services);
  for (const key of changes.removed) services.delete(key);
  const accepted: ServicePlan[] = [];
  for (const service of changes.updated) {
    const key = serviceKey(service);
    const problem = unrenderable(service);
    if (problem === null) {
      accepted.push(service);
    } else {
      problems.push({ service: key, message: problem });
      services.delete(key);
    }
  }
  const changed = new Set(accepted.map(serviceKey));
  let total = accepted.reduce((sum, service) => sum + countServiceEndpoints(service, family), 0);
  for (const [key, fragment] of services) if (!changed.has(key)) total += fragment.endpoints;
  const fresh: ServiceFragment[] = [];
  let added = false;
  for (const service of accepted) {
    const key = serviceKey(service);
    const fragment = ServiceFragment.render(service, context, {
      endpointComments: !isLarge(total),
    });
    if (fragment === null) services.delete(key);
    else {
      added ||= !services.has(key);
      services.set(key, fragment);
      fresh.push(fragment);
    }
  }
  return { rules: { ...previous, services: added ? sorted(services) : services }, problems, fresh };
}

function sorted(services: ReadonlyMap<string, Fragment>): ReadonlyMap<string, Fragment> {
  return new Map([...services.keys()].sort().map((key) => [key, services.get(key)!]));
}

function isLarge(endpoints: number): boolean {
  return endpoints > LARGE_CLUSTER_ENDPOINTS;
}

function countEndpoints(plan: Plan, family: Family): number {
  let count = 0;
  for (const service of plan.services.values()) count += countServiceEndpoints(service, family);
  return count;
}

function countServiceEndpoints({ ports }: ServicePlan, family: Family): number {
  return ports.reduce(
    (sum, port) => port.family === family ? sum + port.endpoints.length : sum,
    0,
  );
}
