/**
 * What a preview is asked about: Kubernetes objects to add or change, and names of those to delete,
 * as changes of the cluster's state. What the API server would fill in, or keep of an object that is
 * there already, is filled in and kept likewise.
 *
 * @module
 */

import { allocateClusterIPs } from "../../cluster/control/cluster_ips.ts";
import { identityOfObject, type Located } from "../../cluster/control/located.ts";
import { mirroredSlicesOf } from "../../cluster/control/mirrored_slices.ts";
import { allocateNodePorts } from "../../cluster/control/node_ports.ts";
import { refusalOf, withDefaults } from "../../cluster/control/service_defaults.ts";
import type { EndpointSlice, Node, Service } from "../../cluster/objects.ts";
import type { Endpoints } from "../../cluster/schema/endpoints.ts";
import { formatPath } from "../../cluster/schema/issues.ts";
import { decodeObject } from "../../cluster/schema/object.ts";
import { type ClusterChange, type ClusterProblem, formatProblem } from "../../cluster/source.ts";
import type { Network } from "../../net/address.ts";
import type { Plan } from "../../plan/plan.ts";
import { existingService, keepFields } from "./existing.ts";

/** Kinds that the plan is made of. */
type Planned = Service | EndpointSlice | Endpoints | Node;

/** The kinds that can be deleted, by name. */
export const DELETED_KINDS = ["Service", "EndpointSlice", "Node"] as const;

/** An object to delete. */
export interface Deletion {
  readonly kind: typeof DELETED_KINDS[number];
  /** Absent for nodes. */
  readonly namespace?: string;
  readonly name: string;
}

/** What is to be tried. */
export interface Wishes {
  /** Kubernetes JSON, Lists included. */
  readonly objects: readonly unknown[];
  readonly deletions: readonly Deletion[];
}

/** The cluster that it is tried on. */
export interface Ground {
  readonly plan: Plan;
  /** Whether there is an EndpointSlice of this "namespace/name". */
  hasSlice(key: string): boolean;
  /** Networks that cluster IPs come from. */
  readonly serviceNetworks: readonly Network[];
}

/** Changes, and what was made of the wishes besides. */
export interface UnderstoodWishes {
  readonly changes: readonly ClusterChange[];
  /** What cannot be had, one line each; the rest is in the changes. */
  readonly problems: readonly string[];
  /** Fields that the API server would decide, and what was taken for them, one line each. */
  readonly assumed: readonly string[];
  /** "Kind namespace/name" of objects that do not concern the plan. */
  readonly ignored: readonly string[];
}

/** An object that is none: one line, and the path of the field in the wishes. */
export class WishError extends Error {
  override readonly name = "WishError";

  constructor(readonly field: string, message: string) {
    super(message);
  }
}

/** Lists within lists are taken apart up to this depth. */
const MAX_LIST_DEPTH = 8;

/** @throws {WishError} when an object cannot be understood. */
export function understandWishes(wishes: Wishes, ground: Ground): UnderstoodWishes {
  const problems: ClusterProblem[] = [];
  const assumed: string[] = [];
  const ignored: string[] = [];
  const given: Located<Planned>[] = [];
  const seen = new Set<string>();
  for (const [index, input] of wishes.objects.entries()) {
    for (const located of decode(input, `objects[${index}]`, 0, ignored)) {
      const identity = identityOfObject(located.object);
      if (seen.has(identity)) {
        throw new WishError(located.where, `${identity} is given twice, expected it once`);
      }
      seen.add(identity);
      given.push(located);
    }
  }
  const deletions = wishes.deletions.flatMap((deletion, index) =>
    deletionOf(deletion, `delete[${index}]`, ground, problems)
  );
  const gone = new Set(deletions.map(({ object }) => identityOfObject(object)));
  const services = admitServices(
    ofKind<Service>(given, "Service"),
    ground,
    gone,
    problems,
    assumed,
  );
  const changes = [
    ...deletions,
    ...ofKind<Node>(given, "Node"),
    ...services,
    ...ofKind<EndpointSlice>(given, "EndpointSlice"),
    ...ofKind<Endpoints>(given, "Endpoints").flatMap(mirror),
  ].map((one): ClusterChange => ({
    action: "action" in one ? one.action : "apply",
    object: one.object,
  }));
  return { changes, problems: problems.map(formatProblem), assumed, ignored };
}

function ofKind<T extends Planned>(
  all: readonly Located<Planned>[],
  kind: T["kind"],
): Located<T>[] {
  return all.filter(({ object }) => object.kind === kind) as Located<T>[];
}

function decode(
  input: unknown,
  where: string,
  depth: number,
  ignored: string[],
): Located<Planned>[] {
  const items = (input as { kind?: unknown; items?: unknown } | null)?.items;
  if ((input as { kind?: unknown } | null)?.kind === "List" && Array.isArray(items)) {
    if (depth === MAX_LIST_DEPTH) {
      throw new WishError(where, `expected at most ${MAX_LIST_DEPTH} Lists within Lists`);
    }
    return items.flatMap((item, i) => decode(item, `${where}.items[${i}]`, depth + 1, ignored));
  }
  const decoded = decodeObject(input);
  if (decoded.outcome === "broken") {
    const [{ path, message }] = decoded.issues;
    const field = formatPath(path);
    const shown = [decoded.identity, field, message].filter((part) => part).join(": ");
    throw new WishError(field === "" ? where : `${where}.${field}`, shown);
  }
  if (decoded.outcome === "ignored") {
    ignored.push(decoded.kind);
    return [];
  }
  const { object } = decoded;
  switch (object.kind) {
    case "Service":
    case "EndpointSlice":
    case "Endpoints":
    case "Node":
      return [{ object, where }];
    default:
      ignored.push(identityOfObject(object));
      return [];
  }
}

function mirror({ object, where }: Located<Endpoints>): Located<EndpointSlice>[] {
  return mirroredSlicesOf(object).map((slice) => ({ object: slice, where }));
}

type Removal = { readonly action: "delete"; readonly object: ClusterChange["object"] };

function deletionOf(
  { kind, namespace = "default", name }: Deletion,
  where: string,
  ground: Ground,
  problems: ClusterProblem[],
): Removal[] {
  const key = `${namespace}/${name}`;
  const metadata = { name, namespace };
  const { plan } = ground;
  const object = removed();
  if (object !== null) return [{ action: "delete", object }];
  const shown = kind === "Node" ? `Node ${name}` : `${kind} ${key}`;
  problems.push({ where, object: shown, message: "the plan has none, so nothing would change" });
  return [];

  function removed(): ClusterChange["object"] | null {
    switch (kind) {
      case "Service":
        return plan.services.has(key)
          ? { kind, metadata, spec: { type: "ClusterIP", ports: [] } }
          : null;
      case "EndpointSlice":
        return ground.hasSlice(key)
          ? { kind, metadata, addressType: "IPv4", endpoints: [], ports: [] }
          : null;
      case "Node":
        return name === plan.node.name ? { kind, metadata: { name } } : null;
    }
  }
}

/**
 * Services as the API server would store them: with its defaults, with what it keeps of the Service
 * that is there, and with addresses and node ports that no other Service has.
 */
function admitServices(
  services: readonly Located<Service>[],
  { plan, serviceNetworks }: Ground,
  gone: ReadonlySet<string>,
  problems: ClusterProblem[],
  assumed: string[],
): Located<Service>[] {
  if (services.length === 0) return [];
  const families = [...new Set(serviceNetworks.map(({ family }) => family))];
  const given = new Set(services.map(({ object }) => identityOfObject(object)));
  const admitted = services.flatMap((located): Located<Service>[] => {
    const before = plan.services.get(keyOf(located.object));
    const refused = refusalOf(located.object);
    const kept = before === undefined ? located.object : keepFields(located.object, before);
    const result = refused ?? withDefaults(kept, families);
    if (!("message" in result)) return [{ ...located, object: result }];
    const { field, message } = result;
    problems.push({ ...located, object: identityOfObject(located.object), field, message });
    return [];
  });
  const others = [...plan.services.values()].filter((service) => {
    const identity = `Service ${service.namespace}/${service.name}`;
    return !given.has(identity) && !gone.has(identity) && service.ports.length > 0;
  }).map((service) => ({ object: existingService(service), where: "" }));
  const addressed = allocateClusterIPs([...others, ...admitted], serviceNetworks, new Map());
  const ported = allocateNodePorts(addressed.services, new Map());
  const ofOurs = (problem: ClusterProblem) => problem.where !== "";
  problems.push(...addressed.problems.filter(ofOurs), ...ported.problems.filter(ofOurs));
  const stored = ported.services.filter(({ where }) => where !== "");
  for (const { object } of stored) {
    const asked = admitted.find((one) => keyOf(one.object) === keyOf(object))!.object;
    assumed.push(...assumptions(asked, object));
  }
  return stored;
}

function keyOf({ metadata }: Service): string {
  return `${metadata.namespace}/${metadata.name}`;
}

/** What was allocated for a Service. */
function assumptions(asked: Service, stored: Service): string[] {
  const found: string[] = [];
  const tell = (field: string, value: unknown) =>
    found.push(`${identityOfObject(stored)}: ${field}: ${value}`);
  const known = new Set([asked.spec.clusterIP, ...asked.spec.clusterIPs ?? []]);
  for (const [i, address] of (stored.spec.clusterIPs ?? []).entries()) {
    if (!known.has(address) && address !== "None") tell(`spec.clusterIPs[${i}]`, address);
  }
  for (const [i, { nodePort }] of stored.spec.ports.entries()) {
    if (nodePort !== undefined && asked.spec.ports[i].nodePort === undefined) {
      tell(`spec.ports[${i}].nodePort`, nodePort);
    }
  }
  const { healthCheckNodePort } = stored.spec;
  if (healthCheckNodePort !== undefined && asked.spec.healthCheckNodePort === undefined) {
    tell("spec.healthCheckNodePort", healthCheckNodePort);
  }
  return found;
}
