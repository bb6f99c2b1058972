/** apps/v1 workloads: Deployment, ReplicaSet, StatefulSet, DaemonSet. @module */

import type { Metadata } from "../objects.ts";
import { type Decoder, defaulted, object, optional } from "./decoder.ts";
import { dnsLabel, integer, oneOf, ownedMetadata } from "./fields.ts";
import { type PodTemplate, podTemplateSchema } from "./pod.ts";

/** Most replicas that one workload may ask for. */
const MAX_REPLICAS = 10_000;

/** A workload: a pod template and how many pods to make from it. */
export interface Workload {
  readonly kind: "Deployment" | "ReplicaSet" | "StatefulSet" | "DaemonSet";
  readonly metadata: Metadata & { readonly namespace: string };
  readonly spec: {
    /** Not used by DaemonSets, which have a pod on each node. */
    readonly replicas: number;
    /** StatefulSet: the headless Service that names its pods. */
    readonly serviceName?: string;
    /** StatefulSet: the first ordinal is `start`, 0 if absent. */
    readonly ordinals?: { readonly start?: number };
    readonly template: PodTemplate;
  };
}

export const workloadSchema = object({
  kind: oneOf("Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"),
  metadata: ownedMetadata,
  spec: object({
    replicas: defaulted(integer(0, MAX_REPLICAS), 1),
    serviceName: optional(dnsLabel),
    ordinals: optional(object({ start: optional(integer(0, 1_000_000)) })),
    template: podTemplateSchema,
  }),
}) as Decoder<Workload>;
