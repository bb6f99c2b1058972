/** core/v1 Pod, and the pod template that workloads carry. @module */

import type { z } from "zod";
import type { Metadata, Pod } from "../objects.ts";
import {
  containerPortName,
  defaulted,
  dnsLabel,
  dnsSubdomain,
  flag,
  globalAddress,
  list,
  object,
  oneOf,
  optional,
  ownedMetadata,
  port,
  protocol,
  stringMap,
  text,
} from "./fields.ts";

const container = object({
  name: text,
  restartPolicy: optional(text),
  ports: optional(
    list(object({ name: optional(containerPortName), containerPort: port, protocol }), 1000),
  ),
});

const podSpec = object({
  nodeName: optional(dnsSubdomain),
  hostname: optional(dnsLabel),
  subdomain: optional(dnsLabel),
  hostNetwork: optional(flag),
  containers: defaulted(list(container, 1000), []),
  initContainers: optional(list(container, 1000)),
}).transform(({ containers, initContainers, ...spec }) => ({
  ...spec,
  // Init containers that restart always are sidecars: they serve as long as the pod does.
  containers: [
    ...containers,
    ...(initContainers ?? []).filter((one) => one.restartPolicy === "Always"),
  ].map(({ name, ports }) => ({ name, ports: ports ?? [] })),
}));

const status = object({
  phase: optional(text),
  podIP: optional(globalAddress),
  podIPs: optional(list(object({ ip: globalAddress }), 2)),
  conditions: optional(list(object({ type: text, status: text }), 1000)),
}).transform(({ podIP, podIPs, ...rest }) => ({
  ...rest,
  podIPs: podIPs?.map((one) => one.ip) ?? (podIP === undefined ? [] : [podIP]),
}));

/** A Pod; without a status it has no addresses yet. */
export const podSchema = object({
  kind: oneOf("Pod"),
  metadata: ownedMetadata,
  spec: podSpec,
  status: optional(status).transform((given) => given ?? { podIPs: [] }),
}) as z.ZodType<Pod>;

/** Pod template of a workload. */
export interface PodTemplate {
  readonly metadata?: Pick<Metadata, "labels" | "annotations">;
  readonly spec: Pod["spec"];
}

export const podTemplateSchema = object({
  metadata: optional(object({ labels: optional(stringMap), annotations: optional(stringMap) })),
  spec: podSpec,
}) as z.ZodType<PodTemplate>;
