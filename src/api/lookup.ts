/**
 * `POST /api/v1/lookup`: a batch of packets through the engine.
 *
 * @module
 */

import { createRoute, type OpenAPIHono } from "@hono/zod-openapi";
import type { LookupResult, PacketQuery } from "../engine/handle.ts";
import { jsonBody } from "./body.ts";
import { errorResponse } from "./errors.ts";
import { LookupRequest, LookupResponse, MAX_PACKETS } from "./schemas.ts";
import type { ApiState } from "./state.ts";

/** Longest body of a lookup, bytes. */
export const MAX_BODY_BYTES = 1 << 20;

/** Packets that the engine is asked about at a time. */
const ENGINE_BATCH = 256;

const route = createRoute({
  method: "post",
  path: "/api/v1/lookup",
  summary: "The backend that each packet would take now, and why",
  description:
    `At most ${MAX_PACKETS} packets and ${MAX_BODY_BYTES} bytes. Asking changes nothing: neither ` +
    "the schedulers nor conntrack take notice.",
  request: {
    body: { required: true, content: { "application/json": { schema: LookupRequest } } },
  },
  responses: {
    200: {
      description: "one result a packet, in the same order",
      content: { "application/json": { schema: LookupResponse } },
    },
    400: errorResponse("the body is not JSON, or of another shape"),
    408: errorResponse("the body did not come in time"),
    413: errorResponse("the body or the list of packets is too long"),
    415: errorResponse("the body is not of type application/json"),
  },
});

/** Adds the route. */
export function addLookup(app: OpenAPIHono, state: ApiState, bodyTimeoutMs: number): void {
  app.post(route.path, jsonBody({ maxBytes: MAX_BODY_BYTES, maxMs: bodyTimeoutMs }));
  app.openapi(route, async (context) => {
    const { packets } = context.req.valid("json");
    const answers = await askEngine(state, packets.map(({ name: _, ...packet }) => packet));
    const results = answers.map((answer, i) => {
      const { name } = packets[i];
      return {
        ...(name === undefined ? {} : { name }),
        ...answer,
        backends: [...answer.backends],
      };
    });
    return context.json({ results }, 200);
  });
}

/** Batches, so that real packets get their turns between them. */
async function askEngine(
  state: ApiState,
  queries: readonly PacketQuery[],
): Promise<LookupResult[]> {
  const results: LookupResult[] = [];
  for (let start = 0; start < queries.length; start += ENGINE_BATCH) {
    results.push(...await state.engine.lookup(queries.slice(start, start + ENGINE_BATCH)));
  }
  return results;
}
