/**
 * Headers that keep a page to itself, and the check that a request with a session is the page's own.
 *
 * @module
 */

import type { MiddlewareHandler } from "hono";

/** Everything from here, nothing inline, no eval, no frames. */
export const CONTENT_SECURITY_POLICY = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self'",
  "connect-src 'self'",
  "form-action 'self'",
  "frame-ancestors 'none'",
  "base-uri 'none'",
].join("; ");

/** Adds the headers to what is HTML. */
export function pageHeaders(): MiddlewareHandler {
  return async (context, next) => {
    await next();
    context.header("Content-Security-Policy", CONTENT_SECURITY_POLICY);
    // With no-referrer, browsers leave a form's own Origin out too (Fetch, append a request Origin header).
    context.header("Referrer-Policy", "same-origin");
    context.header("Cross-Origin-Opener-Policy", "same-origin");
    context.header("Cross-Origin-Resource-Policy", "same-origin");
  };
}

/**
 * Whether a browser says that the request comes from a page of this origin, or that the user typed
 * it (Fetch Metadata, W3C); older browsers say by Origin, and programs say nothing.
 */
export function isSameOrigin(request: Request): boolean {
  const site = request.headers.get("sec-fetch-site");
  if (site !== null) return site === "same-origin" || site === "none";
  const origin = request.headers.get("origin");
  return origin === null || origin === new URL(request.url).origin;
}
