/** networking.k8s.io/v1 ServiceCIDR. @module */

import type { ServiceCIDR } from "../objects.ts";
import { type Decoder, list, object } from "./decoder.ts";
import { clusterMetadata, network, oneOf } from "./fields.ts";

export const serviceCIDRSchema = object({
  kind: oneOf("ServiceCIDR"),
  metadata: clusterMetadata,
  spec: object({ cidrs: list(network, 2) }),
}) as Decoder<ServiceCIDR>;
