/**
 * What a cluster's controllers make of what its users write, in a preview: by simulation where the
 * cluster is one of manifests, else only told, because they decide elsewhere.
 *
 * @module
 */

import { identityOfObject, type Located } from "../../cluster/control/located.ts";
import { mirroredSlicesOf } from "../../cluster/control/mirrored_slices.ts";
import { objectKey, SERVICE_NAME_LABEL } from "../../cluster/objects.ts";
import type { EndpointSlice, Service } from "../../cluster/objects.ts";
import type { ManifestObject } from "../../cluster/schema/object.ts";
import type { ClusterChange, ClusterProblem, SimulatedCluster } from "../../cluster/source.ts";
import type { Plan } from "../../plan/plan.ts";

/** Why what is made of an object is not previewed. */
export const DECIDED =
  "ignored, because the cluster's controllers decide which pods and endpoints come of it; expected " +
  "EndpointSlices instead";

/** What comes of what is written and deleted. */
export interface Consequences {
  readonly changes: readonly ClusterChange[];
  readonly problems: readonly ClusterProblem[];
  /** What others decide, and what was taken for it, one line each. */
  readonly assumed: readonly string[];
}

/** Where all that a control plane does is done here. */
export function simulatedConsequences(
  cluster: SimulatedCluster,
  written: readonly Located[],
  deleted: ReadonlySet<string>,
): Consequences {
  const { changes, problems, newPods } = cluster.imagine(written, deleted);
  const assumed = newPods === 0 ? [] : [
    `addresses and nodes of ${newPods} new pod${newPods === 1 ? "" : "s"}`,
  ];
  return { changes, problems, assumed };
}

/**
 * Where a cluster has controllers of its own: objects that the plan is made of change it, and of the
 * others it is told that they do not.
 */
export function plannedConsequences(written: readonly Located[], plan: Plan): Consequences {
  const changes: ClusterChange[] = [];
  const problems: ClusterProblem[] = [];
  for (const { object, where } of inOrder(written)) {
    switch (object.kind) {
      case "Node":
      case "Service":
      case "EndpointSlice":
        changes.push({ action: "apply", object });
        break;
      case "Endpoints":
        changes.push(
          ...mirroredSlicesOf(object).map((slice): ClusterChange => ({
            action: "apply",
            object: slice,
          })),
        );
        break;
      default:
        problems.push({ where, object: identityOfObject(object), message: DECIDED });
    }
  }
  return { changes, problems, assumed: withoutEndpoints(changes, plan) };
}

const ORDER: readonly ManifestObject["kind"][] = ["Node", "Service", "EndpointSlice", "Endpoints"];

function inOrder(written: readonly Located[]): Located[] {
  return [
    ...ORDER.flatMap((kind) => written.filter(({ object }) => object.kind === kind)),
    ...written.filter(({ object }) => !ORDER.includes(object.kind)),
  ];
}

/** New Services whose endpoints controllers would make. */
function withoutEndpoints(changes: readonly ClusterChange[], plan: Plan): string[] {
  const objects = changes.map(({ object }) => object);
  const served = new Set(
    objects.filter((object): object is EndpointSlice => object.kind === "EndpointSlice").map((
      { metadata },
    ) => `${metadata.namespace}/${metadata.labels?.[SERVICE_NAME_LABEL]}`),
  );
  return objects.filter((object): object is Service => object.kind === "Service")
    .filter((service) =>
      service.spec.selector !== undefined && service.spec.type !== "ExternalName" &&
      !plan.services.has(objectKey(service)) && !served.has(objectKey(service))
    )
    .map((service) =>
      `${identityOfObject(service)}: no endpoints, which controllers make by spec.selector`
    );
}
