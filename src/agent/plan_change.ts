/**
 * Changes of a plan, put together.
 *
 * @module
 */

import { type PlanChange, serviceKey } from "../plan/plan.ts";

/** A change that changes nothing. */
export const NO_CHANGE: PlanChange = { node: null, updated: [], removed: [] };

/** Whether a change changes nothing. */
export function isNoChange(change: PlanChange): boolean {
  return change.node === null && change.updated.length === 0 && change.removed.length === 0;
}

/** One change with the effect of the two, one after the other. */
export function mergeChanges(first: PlanChange, second: PlanChange): PlanChange {
  if (isNoChange(first)) return second;
  const updated = new Map(first.updated.map((service) => [serviceKey(service), service]));
  const removed = new Set(first.removed);
  for (const key of second.removed) {
    updated.delete(key);
    removed.add(key);
  }
  for (const service of second.updated) {
    const key = serviceKey(service);
    updated.set(key, service);
    removed.delete(key);
  }
  return {
    node: second.node ?? first.node,
    updated: [...updated.values()],
    removed: [...removed],
  };
}
