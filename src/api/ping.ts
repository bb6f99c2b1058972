/**
 * `/healthz` of the metrics server, as every component of Kubernetes has it: that the process answers,
 * nothing more.
 *
 * @module
 */

import type { OpenAPIHono } from "@hono/zod-openapi";
import type { Slis } from "./metrics/slis.ts";

/** The name of the only check. */
const PING = "ping";

/**
 * Adds the routes: of all checks, of which `?exclude=` leaves some out and `?verbose` tells each, and of
 * the check alone. Those made for all are counted.
 */
export function addPing(app: OpenAPIHono, slis: Slis): void {
  app.get("/healthz", (context) => {
    const excluded = new Set(context.req.queries("exclude"));
    const counts = !excluded.delete(PING);
    if (counts) slis.succeeded(PING);
    context.header("X-Content-Type-Options", "nosniff");
    if (context.req.query("verbose") === undefined) return context.text("ok");
    const unknown = [...excluded].map((name) => JSON.stringify(name)).join(",");
    return context.text([
      `[+]${PING} ${counts ? "ok" : "excluded: ok"}`,
      ...unknown === "" ? [] : [`warn: there are no health checks ${unknown} to exclude`],
      "healthz check passed\n",
    ].join("\n"));
  });
  app.get(`/healthz/${PING}`, (context) => context.text("ok"));
}
