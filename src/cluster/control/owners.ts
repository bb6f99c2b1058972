/** Which workloads have their pods in the input already, as in a dump of a cluster. @module */

import { type Metadata, objectKey, type Pod } from "../objects.ts";
import type { Workload } from "../schema/workload.ts";

/**
 * The workloads that pods are to be made for: those whose pods are not given, and no ReplicaSet
 * whose Deployment is given too.
 */
export function workloadsToExpand<T extends Workload>(
  workloads: readonly T[],
  pods: readonly Pod[],
): T[] {
  const known = new Set(workloads.map((one) => `${one.kind} ${objectKey(one)}`));
  const realised = new Set<string>();
  for (const pod of pods) {
    const owner = controllerOf(pod.metadata);
    if (owner === null) continue;
    realised.add(owner);
    // A Deployment's ReplicaSets are named after it, with a hash; they need not be given.
    const deployment = /^ReplicaSet (.+)-[^-]+$/.exec(owner)?.[1];
    if (deployment !== undefined) realised.add(`Deployment ${deployment}`);
  }
  return workloads.filter((one) => {
    const owner = controllerOf(one.metadata);
    return !realised.has(`${one.kind} ${objectKey(one)}`) &&
      (owner === null || !known.has(owner));
  });
}

/** "Kind namespace/name" of what controls an object, null when nothing does. */
function controllerOf(metadata: Metadata): string | null {
  const owner = metadata.ownerReferences?.find((one) => one.controller === true);
  return owner === undefined ? null : `${owner.kind} ${metadata.namespace}/${owner.name}`;
}
