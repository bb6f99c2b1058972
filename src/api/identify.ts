/**
 * What every answer carries, whatever was asked.
 *
 * @module
 */

import type { Context } from "hono";
import type {} from "hono/request-id";
import type { Check } from "./checks.ts";

/** Longest id that a client may give its request. */
const MOST_CHARACTERS = 128;

/**
 * Gives the request an id, the client's own where that is a plain word, and the answer the headers
 * that all have. They are set before there is an answer, which would have to be copied to get more.
 *
 * @param except a path whose handler gives its answers {@link commonHeaders} itself, for speed.
 */
export function identify(except: string | null = null): Check {
  const nextId = requestIds();
  return (context) => {
    const given = context.req.header("X-Request-Id");
    const id = given !== undefined && isPlain(given) ? given : nextId();
    context.set("requestId", id);
    if (context.req.path !== except) setCommonHeaders(context);
    return null;
  };
}

/** The headers that all answers have. */
export function commonHeaders(context: Context): Record<string, string> {
  return {
    "x-request-id": context.get("requestId"),
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
  };
}

/** Has the answer that comes carry {@link commonHeaders}. */
export function setCommonHeaders(context: Context): void {
  for (const [name, value] of Object.entries(commonHeaders(context))) context.header(name, value);
}

/** Ids that no other request has, nor one of another process. */
function requestIds(): () => string {
  const process = crypto.randomUUID().slice(-12);
  let count = 0;
  return () => `${process}-${++count}`;
}

function isPlain(id: string): boolean {
  return id.length <= MOST_CHARACTERS && /^[\w=-]+$/.test(id);
}
