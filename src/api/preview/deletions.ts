/**
 * Objects that a preview is to do without.
 *
 * @module
 */

import type { ClusterObject } from "../../cluster/objects.ts";
import type { ClusterProblem, SimulatedCluster } from "../../cluster/source.ts";
import type { Plan } from "../../plan/plan.ts";
import { DECIDED } from "./controllers.ts";

/** The kinds that can be deleted, by name. */
export const DELETED_KINDS = [
  "Service",
  "EndpointSlice",
  "Node",
  "Endpoints",
  "Pod",
  "Deployment",
  "ReplicaSet",
  "StatefulSet",
  "DaemonSet",
] as const;

/** An object to delete. */
export interface Deletion {
  readonly kind: typeof DELETED_KINDS[number];
  /** Absent for nodes. */
  readonly namespace?: string;
  readonly name: string;
}

/** What is there. */
export interface Present {
  readonly plan: Plan;
  readonly simulated?: SimulatedCluster;
  /** Whether there is an EndpointSlice of this "namespace/name". */
  hasSlice(key: string): boolean;
}

/** What of the deletions can be had. */
export interface UnderstoodDeletions {
  /** "Kind namespace/name". */
  readonly identities: ReadonlySet<string>;
  /** The objects, as far as it takes to delete them; empty where the cluster is simulated. */
  readonly objects: readonly ClusterObject[];
  readonly problems: readonly ClusterProblem[];
}

/** Looks for the objects that are to be deleted. */
export function understandDeletions(
  deletions: readonly Deletion[],
  present: Present,
): UnderstoodDeletions {
  const identities = new Set<string>();
  const objects: ClusterObject[] = [];
  const problems: ClusterProblem[] = [];
  for (const [index, deletion] of deletions.entries()) {
    const { kind, namespace = "default", name } = deletion;
    const identity = kind === "Node" ? `Node ${name}` : `${kind} ${namespace}/${name}`;
    const found = present.simulated === undefined
      ? plannedObject(deletion, present)
      : writtenObject(identity, deletion, present, present.simulated);
    if (typeof found === "string") {
      problems.push({ where: `delete[${index}]`, object: identity, message: found });
      continue;
    }
    identities.add(identity);
    if (found !== null) objects.push(found);
  }
  return { identities, objects, problems };
}

const NONE = "the plan has none, so nothing would change";

/** The object, or why there is none. */
function plannedObject(
  { kind, namespace = "default", name }: Deletion,
  { plan, hasSlice }: Present,
): ClusterObject | string {
  const key = `${namespace}/${name}`;
  const metadata = { name, namespace };
  switch (kind) {
    case "Service":
      return plan.services.has(key)
        ? { kind, metadata, spec: { type: "ClusterIP", ports: [] } }
        : NONE;
    case "EndpointSlice":
      return hasSlice(key)
        ? { kind, metadata, addressType: "IPv4", endpoints: [], ports: [] }
        : NONE;
    case "Node":
      return name === plan.node.name ? { kind, metadata: { name } } : NONE;
    default:
      return DECIDED;
  }
}

function writtenObject(
  identity: string,
  { kind, namespace = "default", name }: Deletion,
  { hasSlice }: Present,
  simulated: SimulatedCluster,
): null | string {
  if (simulated.has(identity)) return null;
  return kind === "EndpointSlice" && hasSlice(`${namespace}/${name}`)
    ? "it is made of a Service and its pods, and would be again"
    : "there is none, so nothing would change";
}
