/** Objects with the place that they come from, and problems with them. @module */

import { objectKey } from "../objects.ts";
import type { ManifestObject } from "../schema/object.ts";
import type { ClusterProblem } from "../source.ts";

/** An object and the "file:line" that it comes from. */
export interface Located<T extends ManifestObject = ManifestObject> {
  readonly object: T;
  readonly where: string;
}

/** "Kind namespace/name": what identifies an object among all. */
export function identityOfObject(object: ManifestObject): string {
  return `${object.kind} ${objectKey(object)}`;
}

/** A problem with a field of an object. */
export function problemWith(located: Located, field: string, message: string): ClusterProblem {
  const { object, where } = located;
  return { where, object: identityOfObject(object), field, message };
}
