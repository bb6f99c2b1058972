/** What a pod's status says. @module */

import type { Pod } from "../objects.ts";

/** Whether a pod has ended for good: it has no endpoints. */
export function isTerminal(pod: Pod): boolean {
  return pod.status.phase === "Succeeded" || pod.status.phase === "Failed";
}

/**
 * Whether a pod passes its readiness checks: condition Ready is True. A pod without any conditions,
 * as manifests describe pods, counts as ready: there is nobody to set them.
 */
export function isReady(pod: Pod): boolean {
  const { conditions } = pod.status;
  if (conditions === undefined) return true;
  return conditions.some((one) => one.type === "Ready" && one.status === "True");
}
