/** core/v1 Service. @module */

import type { Service } from "../objects.ts";
import { type Decoder, defaulted, list, mapped, object, optional, scalar } from "./decoder.ts";
import {
  address,
  dnsLabel,
  externalHostname,
  family,
  flag,
  globalAddress,
  integer,
  namespacedMetadata,
  network,
  oneOf,
  port,
  portName,
  portOrZero,
  protocol,
  stringMap,
  targetPort,
  text,
} from "./fields.ts";
import { parseAddress } from "../../net/address.ts";
import { sharedJson } from "./shared.ts";

/** An address, "None" for a headless Service, or nothing yet (empty). */
const clusterIP = mapped(
  scalar("an IP address or None", (value) => {
    if (typeof value !== "string") return undefined;
    return value === "None" || value === "" ? value : parseAddress(value) ?? undefined;
  }),
  (value) => value === "" ? undefined : value,
);

const servicePort = object({
  name: mapped(optional(portName), (name) => name === "" ? undefined : name),
  protocol,
  port,
  targetPort: optional(targetPort),
  nodePort: optional(portOrZero),
  appProtocol: optional(text),
});

const spec = object({
  type: defaulted(oneOf("ClusterIP", "NodePort", "LoadBalancer", "ExternalName"), "ClusterIP"),
  clusterIP: optional(clusterIP),
  clusterIPs: optional(list(clusterIP, 2)),
  ipFamilies: optional(mapped(list(family, 2), sharedJson())),
  ipFamilyPolicy: optional(oneOf("SingleStack", "PreferDualStack", "RequireDualStack")),
  // An empty selector is none: the API's encoding leaves it out.
  selector: mapped(
    optional(stringMap),
    (map) => map === undefined || Object.keys(map).length === 0 ? undefined : map,
  ),
  ports: defaulted(mapped(list(servicePort, 20_000), sharedJson()), []),
  externalIPs: optional(list(globalAddress, 1000)),
  externalName: optional(externalHostname),
  loadBalancerSourceRanges: optional(list(network, 10_000)),
  allocateLoadBalancerNodePorts: optional(flag),
  sessionAffinity: optional(oneOf("None", "ClientIP")),
  sessionAffinityConfig: optional(object({
    clientIP: optional(object({ timeoutSeconds: optional(integer(1, 86400)) })),
  })),
  externalTrafficPolicy: optional(oneOf("Cluster", "Local")),
  internalTrafficPolicy: optional(oneOf("Cluster", "Local")),
  healthCheckNodePort: optional(portOrZero),
  publishNotReadyAddresses: optional(flag),
  trafficDistribution: optional(text),
});

const loadBalancerIngress = object({
  ip: optional(address),
  hostname: optional(text),
  ipMode: optional(text),
});

const status = mapped(
  object({
    loadBalancer: optional(object({ ingress: optional(list(loadBalancerIngress, 1000)) })),
  }),
  sharedJson(),
);

/** A Service with the field limits of the API, but nothing that needs other fields or objects. */
export const serviceSchema = object({
  kind: oneOf("Service"),
  metadata: namespacedMetadata(dnsLabel),
  spec,
  status: optional(status),
}) as Decoder<Service>;
