/** networking.k8s.io/v1 Ingress, whose spec is kept as it is. @module */

import type { Ingress } from "../objects.ts";
import { type Decoder, mapOf, object } from "./decoder.ts";
import { namespacedMetadata, oneOf } from "./fields.ts";

export const ingressSchema = object({
  kind: oneOf("Ingress"),
  metadata: namespacedMetadata(),
  spec: mapOf((value) => value, "an object"),
}) as Decoder<Ingress>;
