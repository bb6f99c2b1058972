/**
 * `/healthz` and `/livez`, as kube-proxy answers them: 200 or 503, and why in JSON.
 *
 * @module
 */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import type { ApiState, HealthReport } from "./state.ts";

const FamilyHealth = z.object({ lastUpdated: z.iso.datetime(), healthy: z.boolean() });

const Health = z.object({
  lastUpdated: z.iso.datetime(),
  currentTime: z.iso.datetime(),
  nodeEligible: z.boolean().optional().openapi({
    description: "whether load balancers may send new connections here; /healthz only",
  }),
  healthy: z.boolean(),
  status: z.record(z.string(), FamilyHealth).openapi({ description: "by IP family" }),
}).openapi("Health");

/** Is told of every probe that was answered. */
export interface ProbeObserver {
  probed(probe: "healthz" | "livez", code: number): void;
}

/** The body of a probe's answer. */
function describe(report: HealthReport, withNode: boolean): z.infer<typeof Health> {
  const time = (ms: number) => new Date(ms).toISOString();
  return {
    lastUpdated: time(report.lastUpdated),
    currentTime: time(report.currentTime),
    ...(withNode ? { nodeEligible: report.nodeEligible } : {}),
    healthy: report.healthy,
    status: Object.fromEntries(
      report.status.map(({ family, healthy, lastUpdated }) => [
        family,
        { lastUpdated: time(lastUpdated), healthy },
      ]),
    ),
  };
}

function probeRoute<Path extends string>(path: Path, summary: string) {
  const content = { "application/json": { schema: Health } };
  return createRoute({
    method: "get",
    path,
    summary,
    responses: { 200: { description: "yes", content }, 503: { description: "no", content } },
  });
}

const healthzRoute = probeRoute(
  "/healthz",
  "Whether changes reach the node in time and it takes new connections",
);
const livezRoute = probeRoute("/livez", "Whether changes reach the node in time");

/** Adds both routes. */
export function addHealth(app: OpenAPIHono, state: ApiState, observer: ProbeObserver): void {
  app.openapi(healthzRoute, (context) => {
    const report = state.health();
    const status = report.healthy && report.nodeEligible ? 200 : 503;
    observer.probed("healthz", status);
    return context.json(describe(report, true), status);
  });
  app.openapi(livezRoute, (context) => {
    const report = state.health();
    const status = report.healthy ? 200 : 503;
    observer.probed("livez", status);
    return context.json(describe(report, false), status);
  });
}
