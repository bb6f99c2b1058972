/** core/v1 Pod, and the pod template that workloads carry. @module */

import type { Metadata, Pod } from "../objects.ts";
import { type Decoder, defaulted, list, mapped, object, optional } from "./decoder.ts";
import {
  containerPortName,
  dnsLabel,
  dnsSubdomain,
  flag,
  globalAddress,
  oneOf,
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

const podSpec = mapped(
  object({
    nodeName: optional(dnsSubdomain),
    hostname: optional(dnsLabel),
    subdomain: optional(dnsLabel),
    hostNetwork: optional(flag),
    containers: defaulted(list(container, 1000), []),
    initContainers: optional(list(container, 1000)),
  }),
  ({ containers, initContainers, ...spec }) => ({
    ...spec,
    // Init containers that restart always are sidecars: they serve as long as the pod does.
    containers: [
      ...containers,
      ...(initContainers ?? []).filter((one) => one.restartPolicy === "Always"),
    ].map(({ name, ports }) => ({ name, ports: ports ?? [] })),
  }),
);

const status = mapped(
  object({
    phase: optional(text),
    podIP: optional(globalAddress),
    podIPs: optional(list(object({ ip: globalAddress }), 2)),
    conditions: optional(list(object({ type: text, status: text }), 1000)),
  }),
  ({ podIP, podIPs, ...rest }) => ({
    ...rest,
    podIPs: podIPs?.map((one) => one.ip) ?? (podIP === undefined ? [] : [podIP]),
  }),
);

/** A Pod; without a status it has no addresses yet. */
export const podSchema = object({
  kind: oneOf("Pod"),
  metadata: ownedMetadata,
  spec: podSpec,
  status: mapped(optional(status), (given) => given ?? { podIPs: [] }),
}) as Decoder<Pod>;

/** Pod template of a workload. */
export interface PodTemplate {
  readonly metadata?: Pick<Metadata, "labels" | "annotations">;
  readonly spec: Pod["spec"];
}

export const podTemplateSchema = object({
  metadata: optional(object({ labels: optional(stringMap), annotations: optional(stringMap) })),
  spec: podSpec,
}) as Decoder<PodTemplate>;
