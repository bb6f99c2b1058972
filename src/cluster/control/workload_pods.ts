/** The pods that workloads make from their templates. @module */

import type { Pod } from "../objects.ts";
import type { Workload } from "../schema/workload.ts";
import { nameSuffix } from "./hash.ts";

/**
 * The pods of a workload, oldest first, without addresses: a smaller number of replicas leaves out
 * the last ones and changes nothing about the others.
 *
 * StatefulSet pods are named by ordinal and have a hostname (kubernetes
 * pkg/controller/statefulset/stateful_set_utils.go); the others get a suffix that depends only on
 * the workload's name and the pod's number. A DaemonSet has a pod on each of the nodes, one without
 * a node if no node is known.
 */
export function podsOfWorkload(workload: Workload, nodes: readonly string[]): Pod[] {
  const { kind, spec } = workload;
  if (kind === "StatefulSet") {
    const first = spec.ordinals?.start ?? 0;
    return Array.from({ length: spec.replicas }, (_, i) => statefulPod(workload, first + i));
  }
  const names = new Set<string>();
  if (kind === "DaemonSet") {
    if (nodes.length === 0) return [replicaPod(workload, names, "0")];
    return nodes.map((node) => {
      const pod = replicaPod(workload, names, node);
      return { ...pod, spec: { ...pod.spec, nodeName: node } };
    });
  }
  return Array.from({ length: spec.replicas }, (_, i) => replicaPod(workload, names, String(i)));
}

function replicaPod(workload: Workload, names: Set<string>, part: string): Pod {
  const base = workload.metadata.name.slice(0, 247);
  let name = "";
  for (let attempt = 0; name === "" || names.has(name); attempt++) {
    name = `${base}-${nameSuffix(`${workload.kind}/${base}/${part}/${attempt}`)}`;
  }
  names.add(name);
  return podFromTemplate(workload, name, {}, {});
}

function statefulPod(workload: Workload, ordinal: number): Pod {
  const name = `${workload.metadata.name}-${ordinal}`;
  const labels = {
    "statefulset.kubernetes.io/pod-name": name,
    "apps.kubernetes.io/pod-index": String(ordinal),
  };
  const { serviceName } = workload.spec;
  const identity = {
    hostname: name,
    ...(serviceName !== undefined && { subdomain: serviceName }),
  };
  return podFromTemplate(workload, name, labels, identity);
}

function podFromTemplate(
  workload: Workload,
  name: string,
  labels: Readonly<Record<string, string>>,
  identity: Pick<Pod["spec"], "hostname" | "subdomain">,
): Pod {
  const { template } = workload.spec;
  return {
    kind: "Pod",
    metadata: {
      name,
      namespace: workload.metadata.namespace,
      labels: { ...template.metadata?.labels, ...labels },
    },
    spec: { ...template.spec, ...identity },
    status: { podIPs: [] },
  };
}
