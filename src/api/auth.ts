/**
 * Bearer tokens (RFC 6750) for addresses that others can reach.
 *
 * @module
 */

import { timingSafeEqual } from "node:crypto";
import type { MiddlewareHandler } from "hono";
import { ApiError } from "./errors.ts";

/** Lets only requests through that carry the token. */
export function bearerToken(token: string): MiddlewareHandler {
  const expected = digest(token);
  return async (context, next) => {
    const header = context.req.header("authorization") ?? "";
    const given = /^Bearer +(.+)$/i.exec(header)?.[1].trim() ?? "";
    // Digests have one length, so that the comparison tells nothing about the token's.
    const equal = timingSafeEqual(
      new Uint8Array(await digest(given)),
      new Uint8Array(await expected),
    );
    if (given === "" || !equal) {
      context.header("WWW-Authenticate", "Bearer");
      throw new ApiError(401, "unauthorized", "expected the bearer token of this API");
    }
    await next();
  };
}

function digest(text: string): Promise<ArrayBuffer> {
  return crypto.subtle.digest("SHA-256", new TextEncoder().encode(text));
}
