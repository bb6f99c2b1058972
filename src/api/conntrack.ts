/**
 * `GET /api/v1/conntrack`: the connections that are tracked, with what they are to Services.
 *
 * @module
 */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { type ConnectionWish, isWanted, joinConnection } from "./conntrack/join.ts";
import {
  type Choose,
  ENGINE_CURSOR,
  enginePage,
  KERNEL_CURSOR,
  kernelFilter,
  kernelPage,
  type Page,
} from "./conntrack/pages.ts";
import { ApiError, errorResponse } from "./errors.ts";
import { address, frontendKind, limitOf, protocol } from "./schemas.ts";
import type { ApiState } from "./state.ts";
import type { PlanViews } from "./plan_views.ts";
import { messageOf } from "../errors.ts";

const ConntrackQuery = z.strictObject({
  service: z.string().max(400).optional().openapi({
    description: "namespace/name, or namespace/name:port",
    example: "default/hostnames",
  }),
  backend: address.optional().openapi({ type: "string", description: "address of the backend" }),
  client: address.optional().openapi({ type: "string", description: "address of the client" }),
  protocol: protocol.optional(),
  state: z.string().max(32).optional().openapi({ example: "ESTABLISHED" }),
  stale: z.enum(["true", "false"], { error: "expected true or false" }).optional().openapi({
    description: "those that the plan would no longer send where they go",
  }),
  limit: limitOf(1000).default(100).openapi({ default: 100 }),
  cursor: z.string().max(32).optional().openapi({ description: "next of the page before" }),
});

const Direction = z.object({
  source: z.string(),
  sourcePort: z.int(),
  dest: z.string(),
  port: z.int(),
});

const Passed = z.object({ packets: z.int(), bytes: z.int() });

const End = z.object({ address: z.string(), port: z.int(), pod: z.string().nullable() });

/** A connection joined to the plan. */
export const joinedView = z.object({
  protocol,
  state: z.string().openapi({ description: "as conntrack calls it", example: "ESTABLISHED" }),
  original: Direction.openapi({ description: "as the client sends" }),
  reply: Direction.openapi({ description: "as the backend answers" }),
  service: z.string().nullable(),
  frontend: frontendKind.nullable(),
  client: End,
  backend: End.nullable(),
  masqueraded: z.boolean(),
  assured: z.boolean(),
  expiresInSeconds: z.int().nullable(),
  ageSeconds: z.int().nullable().openapi({
    description: "since it began; null: not known, see unavailable",
  }),
  counters: z.object({ original: Passed, reply: Passed }).nullable().openapi({
    description: "where they are counted: net.netfilter.nf_conntrack_acct",
  }),
  stale: z.string().nullable().openapi({
    description: "why the plan would no longer send it there",
  }),
}).openapi("Connection");

const ConnectionList = z.object({
  trackedBy: z.enum(["engine", "kernel"]),
  items: z.array(joinedView).readonly(),
  unavailable: z.array(z.object({ field: z.string(), reason: z.string() })).readonly().openapi({
    description: "what none of these connections can say, and why",
  }),
  next: z.string().nullable().openapi({
    description: "cursor of the next page, which may be there even if this one is short or empty",
  }),
}).openapi("ConnectionList");

/** A page of tracked connections. */
export type ConnectionListView = z.infer<typeof ConnectionList>;

const route = createRoute({
  method: "get",
  path: "/api/v1/conntrack",
  summary: "Tracked connections, joined to Services and pods",
  description:
    "Of the engine in userspace mode, of the kernel in all others. Connections that come or go " +
    "between two pages may be missed, or be there twice.",
  request: { query: ConntrackQuery },
  responses: {
    200: {
      description: "a page of connections",
      content: { "application/json": { schema: ConnectionList } },
    },
    400: errorResponse("the request is of another shape"),
    503: errorResponse("the kernel's connections cannot be read"),
  },
});

/** Adds the route. */
export function addConntrack(app: OpenAPIHono, state: ApiState, views: PlanViews): void {
  const { node, engine } = state;
  const trackedBy: "engine" | "kernel" = node.connections === undefined ? "engine" : "kernel";
  app.openapi(route, async (context) => {
    const { limit, cursor = null, stale, ...rest } = context.req.valid("query");
    const pattern = trackedBy === "engine" ? ENGINE_CURSOR : KERNEL_CURSOR;
    if (cursor !== null && !pattern.test(cursor)) {
      throw new ApiError(400, "invalid_request", "cursor: expected next of a page", "cursor");
    }
    const wish = { ...rest, stale: stale === undefined ? undefined : stale === "true" };
    const choose: Choose = (tracked) => {
      const joined = joinConnection(tracked, views);
      return isWanted(joined, wish) ? joined : null;
    };
    const page = trackedBy === "engine"
      ? await enginePage(engine, cursor, limit, choose)
      : await kernelPageOf(state, wish, cursor, limit, choose);
    return context.json({ trackedBy, unavailable: unavailable(trackedBy, page), ...page }, 200);
  });
}

/** Fields that are null in the whole page, for a reason that is not the connections'. */
function unavailable(trackedBy: "engine" | "kernel", { items }: Page) {
  const lacks = (field: "ageSeconds" | "counters") =>
    items.length > 0 && items.every((item) => item[field] === null);
  const reason = (sysctl: string) =>
    trackedBy === "engine"
      ? "the engine does not keep it of connections"
      : `sysctl net.netfilter.${sysctl} was 0 when these connections began`;
  return [
    ...(lacks("ageSeconds")
      ? [{ field: "ageSeconds", reason: reason("nf_conntrack_timestamp") }]
      : []),
    ...(lacks("counters") ? [{ field: "counters", reason: reason("nf_conntrack_acct") }] : []),
  ];
}

async function kernelPageOf(
  { node }: ApiState,
  wish: ConnectionWish,
  cursor: string | null,
  limit: number,
  choose: Choose,
): Promise<Page> {
  try {
    const read = (after: number) => node.connections!(kernelFilter(wish), after);
    return await kernelPage(read, cursor, limit, choose);
  } catch (error) {
    const why = messageOf(error);
    throw new ApiError(503, "node_unreadable", `the kernel's connections cannot be read: ${why}`);
  }
}
