/**
 * Queries of paths that are asked so often that the framework's own way to them would show.
 *
 * @module
 */

import type { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { invalidRequest } from "./errors.ts";

/** A request's query by its schema. Throws ApiError. */
export function validQuery<Schema extends z.ZodType>(
  context: Context,
  schema: Schema,
): z.output<Schema> {
  const query: Record<string, string | readonly string[]> = {};
  for (const [name, values] of Object.entries(context.req.queries())) {
    query[name] = values.length === 1 ? values[0] : values;
  }
  const result = schema.safeParse(query);
  if (!result.success) throw invalidRequest(result.error, "query");
  return result.data;
}
