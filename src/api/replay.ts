/**
 * `POST /api/v1/replay`: a capture through an engine of its own.
 *
 * @module
 */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { CaptureError } from "../capture/reader.ts";
import { replayCapture } from "../replay/run.ts";
import { readBody } from "./body.ts";
import { ApiError, errorResponse } from "./errors.ts";
import { frontendKind, limitOf, probability, protocol, verdict } from "./schemas.ts";
import type { ApiState } from "./state.ts";

/** How captures are bounded. */
export interface ReplayLimits {
  readonly maxBytes: number;
  /** The whole capture has to be there within this time, milliseconds. */
  readonly uploadMs: number;
  /** Longest replay; what is done by then is answered, milliseconds. */
  readonly maxMs: number;
}

export const REPLAY_LIMITS: ReplayLimits = {
  maxBytes: 1 << 26,
  uploadMs: 60_000,
  maxMs: 20_000,
};

/** Items that are listed unless asked otherwise. */
const DEFAULT_LIMIT = 1000;

/** Types that captures are sent as. */
const MEDIA_TYPES = ["application/vnd.tcpdump.pcap", "application/octet-stream"];

const capture = z.string().openapi({ type: "string", format: "binary" });

const End = z.object({ address: z.string(), port: z.int() });
const Amount = z.object({
  packets: z.int(),
  bytes: z.int().openapi({ description: "from the IP header on" }),
});

const Replayed = z.object({
  protocol,
  client: End,
  frontend: End.extend({ kind: frontendKind.nullable() }),
  service: z.string().nullable(),
  verdict,
  backend: End.nullable().openapi({ description: "the one that the engine chose" }),
  masqueraded: z.boolean(),
  reason: z.string(),
  startedAt: z.string().nullable(),
  durationMs: z.number().nullable(),
  original: Amount,
  replies: Amount.openapi({ description: "that the capture has, whoever answered" }),
  dropped: z.record(z.string(), z.int()).openapi({ description: "packets by why" }),
}).openapi("ReplayedConnection");

const Report = z.object({
  format: z.enum(["pcap", "pcapng"]),
  packets: z.int(),
  bytes: z.int(),
  startedAt: z.string().nullable(),
  durationMs: z.number().nullable(),
  complete: z.boolean().openapi({
    description: "whether all packets were replayed; else it took too long",
  }),
  connections: z.array(Replayed).readonly(),
  connectionsTotal: z.int(),
  backends: z.array(
    Amount.extend({
      service: z.string(),
      protocol,
      backend: End,
      connections: z.int(),
      share: probability.openapi({ description: "of the connections to its Service port" }),
    }),
  ).readonly(),
  unmatched: z.array(
    Amount.extend({
      protocol: z.string(),
      dest: End.nullable().openapi({ description: "null: packets without ports" }),
      reason: z.string(),
    }),
  ).readonly().openapi({ description: "packets that no Service rule applies to" }),
  unmatchedTotal: Amount,
  skipped: z.record(z.string(), z.int()).openapi({
    description: "frames that are no IP packets, or are cut in their headers, by what they are",
  }),
}).openapi("Replay");

const SEED = { error: "expected a whole number from 0 to 18446744073709551615" };

const route = createRoute({
  method: "post",
  path: "/api/v1/replay",
  summary: "A capture through an engine: what its packets would meet with",
  description: "pcap or pcapng, of Ethernet, raw IP, Linux cooked or loopback, at most " +
    `${REPLAY_LIMITS.maxBytes >> 20} MiB, one at a time, for at most ${
      REPLAY_LIMITS.maxMs / 1000
    } ` +
    "seconds. The engine has the plan as it is now, no connections, and goes with the replay; " +
    "it chooses backends anew. Answers in the capture are taken as the chosen backend's.",
  request: {
    query: z.strictObject({
      limit: limitOf(10_000).default(DEFAULT_LIMIT).openapi({
        default: DEFAULT_LIMIT,
        description: "connections, and destinations of unmatched packets, that are listed",
      }),
      seed: z.string(SEED).regex(/^[0-9]{1,20}$/, SEED).transform(BigInt)
        .refine((value) => value < 1n << 64n, SEED).optional()
        .openapi({ type: "string", description: "decides all that is random; 1" }),
    }),
    body: {
      required: true,
      content: Object.fromEntries(MEDIA_TYPES.map((type) => [type, { schema: capture }])),
    },
  },
  responses: {
    200: {
      description: "what the packets would meet with",
      content: { "application/json": { schema: Report } },
    },
    400: errorResponse("the request is of another shape, or the capture is broken"),
    408: errorResponse("the capture did not come in time"),
    503: errorResponse("other bodies take all memory"),
    413: errorResponse("the capture is too long"),
    415: errorResponse("the body is not of a type of captures"),
    429: errorResponse("another replay is under way"),
  },
});

/** Adds the route. */
export function addReplay(app: OpenAPIHono, state: ApiState, limits: ReplayLimits): void {
  let running = false;
  app.openapi(route, async (context) => {
    const { limit, seed = 1n } = context.req.valid("query");
    const request = context.req.raw;
    const [type] = (request.headers.get("content-type") ?? "").split(";");
    if (!MEDIA_TYPES.includes(type.trim().toLowerCase())) {
      await request.body?.cancel();
      const expected = `expected the content type ${MEDIA_TYPES.join(" or ")}`;
      throw new ApiError(415, "unsupported_media_type", expected);
    }
    if (running) {
      await request.body?.cancel();
      context.header("Retry-After", "5");
      throw new ApiError(429, "busy", "another replay is under way; try again after it");
    }
    running = true;
    try {
      const file = await readBody(request, { maxBytes: limits.maxBytes, maxMs: limits.uploadMs });
      const { maxMs } = limits;
      const { mode } = state;
      const report = await replayCapture(file, { plan: state.plan(), mode, limit, maxMs, seed });
      return context.json(report, 200);
    } catch (error) {
      if (!(error instanceof CaptureError)) throw error;
      throw new ApiError(400, "invalid_capture", `the capture is broken: ${error.message}`);
    } finally {
      running = false;
    }
  });
}
