/**
 * How the API shows what is different between two plans.
 *
 * @module
 */

import { z } from "@hono/zod-openapi";
import { frontendKind, protocol } from "./schemas.ts";

const FieldChange = z.object({ field: z.string(), before: z.string(), after: z.string() })
  .openapi("FieldChange");

const ChangedFrontend = z.object({
  kind: frontendKind,
  address: z.string().nullable().openapi({ description: "null: a node port" }),
  port: z.int(),
  protocol,
  family: z.enum(["IPv4", "IPv6"]),
  portName: z.string(),
}).openapi("NamedFrontend");

const ChangedBackend = z.object({
  address: z.string(),
  port: z.int(),
  protocol,
  portName: z.string(),
  pod: z.string().nullable(),
  node: z.string().nullable(),
}).openapi("NamedBackend");

const changes = z.array(FieldChange).readonly();

/** What is different about one Service. */
export const ServiceDifferenceView = z.object({
  service: z.string().openapi({ example: "default/hostnames" }),
  change: z.enum(["added", "removed", "changed"]),
  changes: changes.openapi({ description: "fields of the Service itself" }),
  frontends: z.object({
    added: z.array(ChangedFrontend).readonly(),
    removed: z.array(ChangedFrontend).readonly(),
    changed: z.array(ChangedFrontend.extend({ changes })).readonly(),
  }),
  backends: z.object({
    added: z.array(ChangedBackend).readonly(),
    removed: z.array(ChangedBackend).readonly(),
    changed: z.array(ChangedBackend.extend({ changes })).readonly(),
  }),
}).openapi("ServiceDifference");

/** What is different about one Service. */
export type ServiceDifferenceShown = z.infer<typeof ServiceDifferenceView>;
