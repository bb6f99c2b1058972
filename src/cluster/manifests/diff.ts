/** What changed between two states of a cluster. @module */

import type { ClusterObject } from "../objects.ts";
import { identityOfObject } from "../control/located.ts";
import type { ClusterChange } from "../source.ts";

/** Objects by identity. */
export type ObjectMap = ReadonlyMap<string, ClusterObject>;

/** Objects by identity; of several with one identity, the first. */
export function byIdentity(objects: readonly ClusterObject[]): ObjectMap {
  const map = new Map<string, ClusterObject>();
  for (const object of objects) {
    const identity = identityOfObject(object);
    if (!map.has(identity)) map.set(identity, object);
  }
  return map;
}

/** Deletions first, then new and changed objects in their order. */
export function changesBetween(before: ObjectMap, after: ObjectMap): ClusterChange[] {
  const changes: ClusterChange[] = [];
  for (const [identity, object] of before) {
    if (!after.has(identity)) changes.push({ action: "delete", object });
  }
  for (const [identity, object] of after) {
    if (!equal(before.get(identity), object)) changes.push({ action: "apply", object });
  }
  return changes;
}

/** Deep equality of plain data; a field that is undefined equals one that is absent. */
export function equal(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const one = a as Record<string, unknown>;
  const other = b as Record<string, unknown>;
  for (const key in one) if (!equal(one[key], other[key])) return false;
  for (const key in other) if (other[key] !== undefined && one[key] === undefined) return false;
  return true;
}
