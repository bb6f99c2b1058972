/** All pods of a cluster before they are placed: those given, and those that workloads make. @module */

import { parseAddress } from "../../net/address.ts";
import { objectKey, type Pod } from "../objects.ts";
import type { Workload } from "../schema/workload.ts";
import type { ClusterProblem } from "../source.ts";
import { type Located, problemWith } from "./located.ts";
import { workloadsToExpand } from "./owners.ts";
import type { PodRequest } from "./pod_placement.ts";
import { podsOfWorkload } from "./workload_pods.ts";

/**
 * Annotation of a workload, or a Pod, with the addresses of its pods: pods are separated by blanks,
 * the two addresses of a dual-stack pod by a comma. Pods beyond the list get an address as usual.
 */
const POD_ADDRESSES_ANNOTATION = "switchyard/pod-addresses";

/** Most pods in a cluster: the limit that Kubernetes is tested to. */
const MAX_PODS = 150_000;

/** The pods to be placed. A given Pod takes the place of one that a workload would make. */
export function podRequests(
  pods: readonly Located<Pod>[],
  workloads: readonly Located<Workload>[],
  nodes: readonly string[],
): { readonly requests: PodRequest[]; readonly problems: ClusterProblem[] } {
  const problems: ClusterProblem[] = [];
  const requests = pods.map((located, ordinal): PodRequest => {
    const { object: pod, where } = located;
    const explicit = pod.status.podIPs;
    const addresses = explicit.length > 0 ? explicit : annotated(located, problems).at(0) ?? [];
    return { pod, ordinal, addresses, where };
  });
  const names = new Set(pods.map(({ object }) => objectKey(object)));
  const toExpand = new Set(workloadsToExpand(
    workloads.map(({ object }) => object),
    pods.map(({ object }) => object),
  ));
  for (const located of workloads) {
    const { object: workload, where } = located;
    if (!toExpand.has(workload)) continue;
    const count = workload.kind === "DaemonSet" ? nodes.length : workload.spec.replicas;
    if (requests.length + count > MAX_PODS) {
      const message = `more than ${MAX_PODS} pods with those of other objects`;
      problems.push(problemWith(located, "spec.replicas", message));
      continue;
    }
    const addresses = annotated(located, problems);
    for (const [ordinal, pod] of podsOfWorkload(workload, nodes).entries()) {
      const key = objectKey(pod);
      if (names.has(key)) continue;
      names.add(key);
      requests.push({ pod, ordinal, addresses: addresses.at(ordinal) ?? [], where });
    }
  }
  return { requests, problems };
}

/** The annotated addresses, pod by pod; an annotation that is wrong is reported and not used. */
function annotated(
  located: Located<Pod | Workload>,
  problems: ClusterProblem[],
): readonly (readonly string[])[] {
  const annotation = located.object.metadata.annotations?.[POD_ADDRESSES_ANNOTATION];
  if (annotation === undefined) return [];
  const result: string[][] = [];
  for (const entry of annotation.split(/\s+/).filter((one) => one !== "")) {
    const addresses = entry.split(",").map(parseAddress);
    const wrong = addresses.indexOf(null);
    if (wrong >= 0) {
      const field = `metadata.annotations["${POD_ADDRESSES_ANNOTATION}"]`;
      const found = JSON.stringify(entry.split(",")[wrong].slice(0, 60));
      problems.push(problemWith(located, field, `expected an IP address, found ${found}`));
      return [];
    }
    result.push(addresses.filter((one) => one !== null));
  }
  return result;
}
