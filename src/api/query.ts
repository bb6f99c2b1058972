/**
 * Queries of paths that are asked so often that the framework's own way to them would show.
 *
 * @module
 */

import type { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { invalidRequest } from "./errors.ts";

type Query = Record<string, string | readonly string[]>;

/** A request's query by its schema. Throws ApiError. */
export function validQuery<Schema extends z.ZodType>(
  context: Context,
  schema: Schema,
): z.output<Schema> {
  const query = plainQuery(context.req.url) ?? anyQuery(context);
  const result = schema.safeParse(query);
  if (!result.success) throw invalidRequest(result.error, "query");
  return result.data;
}

/** What has to be decoded, or could be taken for something else than text. */
const SPECIAL = /[%+#]|__proto__/;

/** A query in which nothing is escaped and no name comes twice; null: it is another. */
function plainQuery(url: string): Query | null {
  const start = url.indexOf("?", 8) + 1;
  if (start === 0 || SPECIAL.test(url)) return null;
  const query: Query = {};
  for (let at = start; at < url.length;) {
    let end = url.indexOf("&", at);
    if (end < 0) end = url.length;
    const equals = url.indexOf("=", at);
    if (equals <= at || equals > end) return null;
    const name = url.slice(at, equals);
    if (Object.hasOwn(query, name)) return null;
    query[name] = url.slice(equals + 1, end);
    at = end + 1;
  }
  return query;
}

function anyQuery(context: Context): Query {
  const query: Query = {};
  for (const [name, values] of Object.entries(context.req.queries())) {
    query[name] = values.length === 1 ? values[0] : values;
  }
  return query;
}
