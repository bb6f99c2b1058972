/**
 * Unknown input to validated, compact objects: the only way in for cluster state, whatever source
 * it comes from.
 *
 * @module
 */

import type { ClusterObject, Pod } from "../objects.ts";
import { type Endpoints, endpointSliceSchema, endpointsSchema } from "./endpoints.ts";
import { ingressSchema } from "./ingress.ts";
import type { Decoder, Issue } from "./decoder.ts";
import { type FieldIssue, fieldIssues, quote } from "./issues.ts";
import { nodeSchema } from "./node.ts";
import { podSchema } from "./pod.ts";
import { serviceSchema } from "./service.ts";
import { serviceCIDRSchema } from "./service_cidr.ts";
import { type Workload, workloadSchema } from "./workload.ts";

/** Everything that manifests may hold and that matters here. */
export type ManifestObject = ClusterObject | Endpoints | Pod | Workload;

/** What became of one object of the input. */
export type DecodedObject =
  | { readonly outcome: "object"; readonly object: ManifestObject }
  /** A kind that does not concern Switchyard (ConfigMap, Secret, a custom resource …). */
  | { readonly outcome: "ignored"; readonly kind: string }
  | {
    readonly outcome: "broken";
    /** "Kind namespace/name", as far as it can be told. */
    readonly identity?: string;
    readonly issues: readonly FieldIssue[];
  };

const KINDS: ReadonlyMap<string, { apiVersion: string; schema: Decoder<ManifestObject> }> = new Map(
  [
    ["Service", { apiVersion: "v1", schema: serviceSchema }],
    ["Endpoints", { apiVersion: "v1", schema: endpointsSchema }],
    ["Pod", { apiVersion: "v1", schema: podSchema }],
    ["Node", { apiVersion: "v1", schema: nodeSchema }],
    ["EndpointSlice", { apiVersion: "discovery.k8s.io/v1", schema: endpointSliceSchema }],
    ["ServiceCIDR", { apiVersion: "networking.k8s.io/v1", schema: serviceCIDRSchema }],
    ["Ingress", { apiVersion: "networking.k8s.io/v1", schema: ingressSchema }],
    ["Deployment", { apiVersion: "apps/v1", schema: workloadSchema }],
    ["ReplicaSet", { apiVersion: "apps/v1", schema: workloadSchema }],
    ["StatefulSet", { apiVersion: "apps/v1", schema: workloadSchema }],
    ["DaemonSet", { apiVersion: "apps/v1", schema: workloadSchema }],
  ],
);

const CLUSTER_SCOPED: ReadonlySet<string> = new Set(["Node", "ServiceCIDR"]);

/** API groups in which the kinds above once lived: an object of these is meant, but too old. */
const FORMER_GROUPS = ["", "apps", "discovery.k8s.io", "networking.k8s.io", "extensions"];

/** Validates one object, which is not a List. */
export function decodeObject(input: unknown): DecodedObject {
  if (typeof input !== "object" || input === null || Array.isArray(input)) {
    return broken([], `expected a Kubernetes object, found ${quote(input)}`);
  }
  const { apiVersion, kind } = input as { apiVersion?: unknown; kind?: unknown };
  if (typeof kind !== "string" || kind === "") return missing("kind", kind);
  if (typeof apiVersion !== "string" || apiVersion === "") {
    return missing("apiVersion", apiVersion, identityOf(input));
  }
  const known = KINDS.get(kind);
  if (known === undefined) return { outcome: "ignored", kind };
  if (apiVersion !== known.apiVersion) {
    const group = apiVersion.includes("/") ? apiVersion.slice(0, apiVersion.indexOf("/")) : "";
    if (!FORMER_GROUPS.includes(group)) return { outcome: "ignored", kind };
    const message = `expected ${known.apiVersion}, found ${quote(apiVersion)}`;
    return broken(["apiVersion"], message, identityOf(input));
  }
  const issues: Issue[] = [];
  const object = known.schema(input, issues);
  if (issues.length === 0) return { outcome: "object", object };
  return { outcome: "broken", identity: identityOf(input), issues: fieldIssues(issues, input) };
}

/** "Kind namespace/name" of an object that may be broken elsewhere. */
export function identityOf(input: unknown): string | undefined {
  const { kind, metadata } = input as {
    kind?: unknown;
    metadata?: { name?: unknown; namespace?: unknown } | null;
  };
  if (typeof kind !== "string") return undefined;
  const shown = /^[A-Za-z]{1,63}$/.test(kind) ? kind : quote(kind);
  const name = metadata?.name;
  if (typeof name !== "string") return shown;
  if (CLUSTER_SCOPED.has(kind)) return `${shown} ${plain(name)}`;
  const namespace = metadata?.namespace ?? "default";
  return `${shown} ${typeof namespace === "string" ? plain(namespace) : "?"}/${plain(name)}`;
}

function plain(name: string): string {
  return /^[\w.-]{1,253}$/.test(name) ? name : quote(name);
}

function missing(field: string, found: unknown, identity?: string): DecodedObject {
  const message = found === undefined || found === null || found === ""
    ? "missing, expected a string"
    : `expected a string, found ${quote(found)}`;
  return broken([field], message, identity);
}

function broken(path: string[], message: string, identity?: string): DecodedObject {
  return { outcome: "broken", identity, issues: [{ path, message }] };
}
