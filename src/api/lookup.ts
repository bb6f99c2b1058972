/**
 * `POST /api/v1/lookup`: a batch of packets through the engine.
 *
 * @module
 */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import type { LookupResult, PacketQuery } from "../engine/handle.ts";
import { boundedBody, jsonBody } from "./body.ts";
import { errorResponse } from "./errors.ts";
import {
  ANSWER_LAYOUT,
  answerRecords,
  MAX_RECORDS_BYTES,
  RECORDS_TYPE,
  REQUEST_LAYOUT,
} from "./lookup_records.ts";
import { LookupRequest, LookupResponse, MAX_PACKETS } from "./schemas.ts";
import type { ApiState } from "./state.ts";

/** Longest body of a lookup, bytes. */
export const MAX_BODY_BYTES = 1 << 20;

/** Describes the records beside the JSON; {@link answerRecords} answers them before the route does. */
function withRecords<Content extends object>(json: Content, description: string): Content {
  return {
    ...json,
    [RECORDS_TYPE]: { schema: z.string().openapi({ format: "binary", description }) },
  };
}

/** Packets that the engine is asked about at a time. */
const ENGINE_BATCH = 256;

const route = createRoute({
  method: "post",
  path: "/api/v1/lookup",
  summary: "The backend that each packet would take now, and why",
  description:
    `At most ${MAX_PACKETS} packets and ${MAX_BODY_BYTES} bytes of JSON, or more as records of ` +
    "fixed size, without reasons and chances in words, at a million and more a second. Asking " +
    "changes nothing: neither the schedulers nor conntrack take notice.",
  request: {
    body: {
      required: true,
      content: withRecords({ "application/json": { schema: LookupRequest } }, REQUEST_LAYOUT),
    },
  },
  responses: {
    200: {
      description: "one result a packet, in the same order",
      content: withRecords({ "application/json": { schema: LookupResponse } }, ANSWER_LAYOUT),
    },
    400: errorResponse("the body is not JSON, or of another shape"),
    408: errorResponse("the body did not come in time"),
    503: errorResponse("other bodies take all memory"),
    413: errorResponse("the body or the list of packets is too long"),
    415: errorResponse("the body is of neither type"),
  },
});

/** Adds the route. */
export function addLookup(app: OpenAPIHono, state: ApiState, bodyTimeoutMs: number): void {
  const json = jsonBody({ maxBytes: MAX_BODY_BYTES, maxMs: bodyTimeoutMs });
  const bytes = boundedBody({ maxBytes: MAX_RECORDS_BYTES, maxMs: bodyTimeoutMs });
  app.post(route.path, (context, next) => {
    const isRecords = context.req.header("content-type")?.startsWith(RECORDS_TYPE) ?? false;
    return (isRecords ? bytes : json)(context, next);
  });
  app.post(route.path, answerRecords(state.engine));
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
