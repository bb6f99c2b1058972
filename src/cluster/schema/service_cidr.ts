/** networking.k8s.io/v1 ServiceCIDR. @module */

import type { z } from "zod";
import type { ServiceCIDR } from "../objects.ts";
import { clusterMetadata, list, network, object, oneOf } from "./fields.ts";

export const serviceCIDRSchema = object({
  kind: oneOf("ServiceCIDR"),
  metadata: clusterMetadata,
  spec: object({ cidrs: list(network, 2) }),
}) as z.ZodType<ServiceCIDR>;
