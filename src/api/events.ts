/**
 * `GET /api/v1/events`: what happens, as it happens, by server-sent events.
 *
 * @module
 */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { ApiError, errorResponse } from "./errors.ts";
import type { EventStreams } from "./events/stream.ts";

const route = createRoute({
  method: "get",
  path: "/api/v1/events",
  summary: "Syncs, changes of Services, problems of the input and drift, as they happen",
  description:
    "Server-sent events. `hello` comes first; then `sync` {ok, durationMs, error}, `change` " +
    "{node, updated, updatedTotal, removed, removedTotal}, `problems` {problems, total} and " +
    "`drift` {differences, total}, all with {time}. Lists have at most 100 items. While anyone " +
    "listens, the node is looked at for drift every half a minute. With the id of the last event " +
    "in Last-Event-ID those missed come first, or `missed` when they are gone. A client that " +
    "does not read is let go.",
  request: {
    headers: z.object({
      "last-event-id": z.string().max(64).optional().openapi({
        description: "id of the last event that was seen",
      }),
    }),
    query: z.strictObject({}),
  },
  responses: {
    200: {
      description: "events, until the client goes",
      content: { "text/event-stream": { schema: z.string() } },
    },
    400: errorResponse("the request is of another shape"),
    503: errorResponse("there are too many clients already"),
  },
});

/** Adds the route. */
export function addEvents(app: OpenAPIHono, streams: EventStreams): void {
  app.openapi(route, (context) => {
    if (streams.full) {
      context.header("Retry-After", "30");
      throw new ApiError(503, "too_many_clients", "there are too many clients of the events");
    }
    context.header("Content-Type", "text/event-stream; charset=utf-8");
    const lastId = context.req.valid("header")["last-event-id"] ?? null;
    return context.body(streams.open(lastId), 200) as never;
  });
}
