/**
 * Queries of paths that are asked so often that the framework's own way to them would show.
 *
 * @module
 */

import type { z } from "@hono/zod-openapi";
import type { Context } from "hono";
import { invalidRequest } from "./errors.ts";

/** A query in which nothing is escaped and no name comes twice. */
export type PlainQuery = Readonly<Record<string, string>>;

type Query = Record<string, string | readonly string[]>;

/** What a query asks, and how it is read. */
export interface QueryReader<Schema extends z.ZodType, Asked> {
  readonly schema: Schema;
  /** From what the schema makes of it. */
  of(query: z.output<Schema>): Asked;
  /** The same of what is asked most, by a shorter way; null: the schema has to look at it. */
  plain(query: PlainQuery): Asked | null;
}

/** What a request's query asks. Throws ApiError. */
export function readQuery<Schema extends z.ZodType, Asked>(
  context: Context,
  reader: QueryReader<Schema, Asked>,
): Asked {
  const found = plainQuery(context.req.url);
  const asked = found === null ? null : reader.plain(found);
  if (asked !== null) return asked;
  const result = reader.schema.safeParse(found ?? anyQuery(context));
  if (!result.success) throw invalidRequest(result.error, "query");
  return reader.of(result.data);
}

/** What has to be decoded, or could be taken for something else than text. */
const SPECIAL = /[%+#]|__proto__/;

/** A URL's query if it is a plain one. */
function plainQuery(url: string): PlainQuery | null {
  const start = url.indexOf("?", 8) + 1;
  if (start === 0 || SPECIAL.test(url)) return null;
  const query: Record<string, string> = {};
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
