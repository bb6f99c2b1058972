/**
 * `GET /api/v1/history` and `/api/v1/history/{id}`: what changed, when, why and how long it took.
 *
 * @module
 */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import type { HistoryEntry } from "../history/entry.ts";
import { ServiceDifferenceView } from "./differences.ts";
import { ApiError, errorResponse } from "./errors.ts";
import { limitOf } from "./schemas.ts";
import type { ApiState } from "./state.ts";

/** Services that an entry of a list names, and that one entry describes. */
const MOST_NAMED = 100;
const MOST_DESCRIBED = 1000;

const ID = { error: "expected the id of an entry" };

/** An entry's id in a path or a query. */
export const historyId = z.string(ID).regex(/^[1-9][0-9]{0,14}$/, ID).transform(Number)
  .openapi({ type: "integer", minimum: 1, example: 7 });

const Summary = z.object({
  id: z.int(),
  time: z.string().openapi({ description: "when its first sync ended, ISO 8601" }),
  trigger: z.enum(["start", "change", "resync"]).openapi({
    description: "start: the first of a run; resync: nothing in the cluster had changed",
  }),
  causes: z.array(z.object({
    action: z.enum(["apply", "delete"]),
    kind: z.string(),
    object: z.string().openapi({ example: "default/hostnames" }),
    resourceVersion: z.string().nullable(),
  })).readonly().openapi({ description: "objects of the cluster; the first 100" }),
  causesTotal: z.int(),
  ok: z.boolean().openapi({ description: "whether the node has it" }),
  error: z.string().nullable(),
  attempts: z.int(),
  durationMs: z.number().openapi({ description: "of the last attempt" }),
  node: z.boolean().openapi({ description: "whether what is known of the node changed" }),
  services: z.array(z.string()).readonly().openapi({
    description: `Services whose plan changed; the first ${MOST_NAMED} by name`,
  }),
  servicesTotal: z.int(),
  linesSent: z.int().openapi({ description: "to the node" }),
});

const Summaries = z.object({
  items: z.array(Summary.openapi("HistorySummary")).readonly(),
  next: z.int().nullable().openapi({ description: "cursor of the next page; null: the oldest" }),
  oldest: z.int().nullable().openapi({ description: "what happened before is not kept" }),
}).openapi("History");

const Details = Summary.extend({
  differences: z.array(ServiceDifferenceView).readonly().openapi({
    description: `what changed of those Services; the first ${MOST_DESCRIBED} by name`,
  }),
  sent: z.array(z.object({
    where: z.string().openapi({ example: "IPv4" }),
    lines: z.int(),
    text: z.string().openapi({
      description: "iptables mode: input of iptables-restore; nftables mode: input of nft -f; " +
        "userspace mode: routes and captures",
    }),
    cut: z.boolean().openapi({ description: "the text is longer than what is kept" }),
  })).readonly(),
}).openapi("HistoryEntry");

/** A page of the history, and one entry of it. */
export type HistoryView = z.infer<typeof Summaries>;
export type HistoryEntryView = z.infer<typeof Details>;

const listRoute = createRoute({
  method: "get",
  path: "/api/v1/history",
  summary: "What changed, when, why and how long it took, the newest first",
  description: "The last 1000 syncs that changed the plan or sent anything, in at most 32 MiB; " +
    "with --state-dir, of earlier runs too.",
  request: {
    query: z.strictObject({
      service: z.string().max(400).optional().openapi({
        description: "namespace/name: only what changed this Service",
        example: "default/hostnames",
      }),
      limit: limitOf(1000).default(50).openapi({ default: 50 }),
      cursor: historyId.optional().openapi({ description: "next of the page before" }),
    }),
  },
  responses: {
    200: {
      description: "a page of entries",
      content: { "application/json": { schema: Summaries } },
    },
    400: errorResponse("the request is of another shape"),
  },
});

const oneRoute = createRoute({
  method: "get",
  path: "/api/v1/history/{id}",
  summary: "What one sync changed and sent",
  request: { params: z.object({ id: historyId }) },
  responses: {
    200: { description: "the entry", content: { "application/json": { schema: Details } } },
    400: errorResponse("the id is none"),
    404: errorResponse("the entry is not kept, or not there yet"),
  },
});

/** Adds both routes. */
export function addHistory(app: OpenAPIHono, { history }: ApiState): void {
  const summary = (entry: HistoryEntry) => {
    const { time, sent, ...rest } = entry;
    const services = history.changedServices(entry.id);
    return {
      ...rest,
      time: new Date(time).toISOString(),
      services: services.slice(0, MOST_NAMED),
      servicesTotal: services.length,
      linesSent: sent.reduce((sum, { lines }) => sum + lines, 0),
    };
  };
  app.openapi(listRoute, (context) => {
    const { service, limit, cursor = Infinity } = context.req.valid("query");
    const all = history.entries();
    const wanted = all.filter(({ id }) =>
      id < cursor && (service === undefined || history.changes(id, service))
    );
    const items = wanted.slice(0, limit).map(summary);
    const next = wanted.length > limit ? items[items.length - 1].id : null;
    return context.json({ items, next, oldest: all.at(-1)?.id ?? null }, 200);
  });
  app.openapi(oneRoute, (context) => {
    const { id } = context.req.valid("param");
    const entry = history.entry(id);
    if (entry === null) throw notKept(history.entries(), id);
    const differences = history.differences(id, MOST_DESCRIBED);
    return context.json({ ...summary(entry), differences, sent: entry.sent }, 200);
  });
}

/** What is answered about an id that is not there. */
export function notKept(
  entries: readonly HistoryEntry[],
  id: number,
  field: string | null = null,
): ApiError {
  const kept = entries.length === 0
    ? "there is none yet"
    : `${entries[entries.length - 1].id} to ${entries[0].id} are kept`;
  return new ApiError(404, "not_found", `there is no entry ${id} of the history: ${kept}`, field);
}
