/** networking.k8s.io/v1 Ingress, whose spec is kept as it is. @module */

import { z } from "zod";
import type { Ingress } from "../objects.ts";
import { namespacedMetadata, object, oneOf } from "./fields.ts";

export const ingressSchema = object({
  kind: oneOf("Ingress"),
  metadata: namespacedMetadata(),
  spec: z.record(z.string(), z.unknown(), { error: "expected an object" }),
}) as z.ZodType<Ingress>;
