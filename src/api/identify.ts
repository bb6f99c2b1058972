/**
 * What every answer carries, whatever was asked.
 *
 * @module
 */

import type { MiddlewareHandler } from "hono";
import type {} from "hono/request-id";

/** Longest id that a client may give its request. */
const MOST_CHARACTERS = 128;

/**
 * Gives the request an id, the client's own where that is a plain word, and the answer the headers
 * that all have. They are set before there is an answer, which would have to be copied to get more.
 */
export function identify(): MiddlewareHandler {
  return (context, next) => {
    const given = context.req.header("X-Request-Id");
    const id = given !== undefined && isPlain(given) ? given : crypto.randomUUID();
    context.set("requestId", id);
    context.header("X-Request-Id", id);
    context.header("X-Content-Type-Options", "nosniff");
    context.header("Cache-Control", "no-store");
    return next();
  };
}

function isPlain(id: string): boolean {
  return id.length <= MOST_CHARACTERS && /^[\w=-]+$/.test(id);
}
