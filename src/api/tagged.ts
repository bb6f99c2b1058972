/**
 * Answers with an ETag: they may be kept, if they are asked for again each time.
 *
 * @module
 */

import type { MiddlewareHandler } from "hono";
import { etag, RETAINED_304_HEADERS } from "hono/etag";

/** Tags the answers of a path. */
export function tagged(): MiddlewareHandler[] {
  return [
    async (context, next) => {
      await next();
      if (context.res.headers.has("etag")) context.header("Cache-Control", "no-cache");
    },
    etag({ retainedHeaders: [...RETAINED_304_HEADERS, "x-request-id", "x-content-type-options"] }),
  ];
}
