/**
 * Values that are made of the plan as it is.
 *
 * @module
 */

import type { ApiState } from "./state.ts";

/** Makes a value when it is asked for and the plan has changed since. */
export function perRevision<T>(state: Pick<ApiState, "revision">, make: () => T): () => T {
  let made: { readonly revision: number; readonly value: T } | null = null;
  return () => {
    const revision = state.revision();
    if (made === null || made.revision !== revision) made = { revision, value: make() };
    return made.value;
  };
}
