/**
 * `POST /api/v1/simulate`: how schedulers would do under a workload.
 *
 * @module
 */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { formatSocketAddress } from "../net/address.ts";
import { SCHEDULER_FLAGS, SCHEDULER_NAMES } from "../plan/scheduling.ts";
import { chartOutcomes } from "../simulate/chart.ts";
import {
  SIMULATION_LIMITS,
  SimulationError,
  simulationOf,
  SimulationRequest,
} from "../simulate/request.ts";
import { simulateAside, SimulationTimeout } from "../simulate/simulator.ts";
import type { SimulatedBackend } from "../simulate/workload.ts";
import { jsonBody } from "./body.ts";
import { ApiError, errorResponse } from "./errors.ts";
import type { ApiState } from "./state.ts";

/** Longest body, bytes. */
const MAX_BODY_BYTES = 1 << 20;

/** Longest simulation, milliseconds. */
export const MAX_SIMULATION_MS = 10_000;

const spread = {
  peak: z.number().openapi({ description: "what the busiest has for its weight ÷ the mean" }),
  least: z.number().openapi({ description: "what the idlest has, likewise" }),
  variation: z.number().openapi({ description: "standard deviation ÷ mean" }),
};

const Summary = z.object({ mean: z.number(), worst: z.number() });

const weight = z.int().nullable();

const Outcome = z.object({
  scheduler: z.enum(SCHEDULER_NAMES),
  flags: z.array(z.enum(SCHEDULER_FLAGS)).readonly(),
  arrived: z.int().openapi({ description: "connections" }),
  refused: z.int().openapi({ description: "connections that nobody took" }),
  peak: Summary.openapi({
    description: "open connections by weight, busiest ÷ mean, over the second half",
  }),
  variation: Summary.openapi({ description: "coefficient of variation, over the second half" }),
  given: z.object(spread).openapi({
    description: "connections given in all, to backends without events",
  }),
  samples: z.array(z.object({ second: z.number(), open: z.int(), ...spread })).readonly()
    .openapi({ description: "open connections over time" }),
  backends: z.array(z.object({
    name: z.string(),
    weight: weight.openapi({ description: "at the end; null: it is gone" }),
    connections: z.int(),
    share: z.number(),
    meanOpen: z.number(),
    peakOpen: z.int(),
  })).readonly(),
  events: z.array(z.object({
    second: z.number(),
    backend: z.string(),
    weight,
    broken: z.int().openapi({ description: "connections open to a backend that is gone" }),
    moved: z.number().nullable().openapi({
      description: "share of clients that get another backend without need; null: sh and mh only",
    }),
    rush: z.number().nullable().openapi({
      description: "most new connections that the backend got ÷ its part; null: it has less to do",
    }),
    settledSeconds: z.number().nullable().openapi({
      description: "until the variation is as before; null: not before the next event",
    }),
  })).readonly(),
}).openapi("SimulationOutcome");

const FORMAT = { error: "expected json or svg" };

const route = createRoute({
  method: "post",
  path: "/api/v1/simulate",
  summary: "How schedulers would do under a workload",
  description: "The engine's own schedulers, on a thread of their own, one request at a time and " +
    `for at most ${MAX_SIMULATION_MS / 1000} seconds. At most ${MAX_BODY_BYTES} bytes, ` +
    `${SIMULATION_LIMITS.connections} connections on average (perSecond × seconds × schedulers), ` +
    `${SIMULATION_LIMITS.counters} nodes × backends, ` +
    `${SIMULATION_LIMITS.figures} schedulers × backends. Changes nothing.`,
  request: {
    query: z.strictObject({
      format: z.enum(["json", "svg"], FORMAT).default("json").openapi({
        description: "svg: a chart of the load over time",
      }),
    }),
    body: { required: true, content: { "application/json": { schema: SimulationRequest } } },
  },
  responses: {
    200: {
      description: "one outcome a scheduler, in their order",
      content: {
        "application/json": {
          schema: z.object({ outcomes: z.array(Outcome).readonly() }).openapi("Simulation"),
        },
        "image/svg+xml": { schema: z.string() },
      },
    },
    400: errorResponse("the body is not JSON, or of another shape"),
    404: errorResponse("there is no such Service, or it has no backends"),
    408: errorResponse("the body did not come in time"),
    503: errorResponse("other bodies take all memory"),
    413: errorResponse("the body or a list in it is too long"),
    415: errorResponse("the body is not of type application/json"),
    422: errorResponse("too much is asked for, or it takes too long"),
    429: errorResponse("another simulation is under way"),
  },
});

/** Adds the route. */
export function addSimulate(app: OpenAPIHono, state: ApiState, bodyTimeoutMs: number): void {
  let running = false;
  app.post(route.path, jsonBody({ maxBytes: MAX_BODY_BYTES, maxMs: bodyTimeoutMs }));
  app.openapi(route, async (context) => {
    const { format } = context.req.valid("query");
    const request = context.req.valid("json");
    if (running) {
      context.header("Retry-After", "5");
      throw new ApiError(429, "busy", "another simulation is under way; try again after it");
    }
    running = true;
    try {
      const found = request.service === undefined ? null : liveBackends(state, request.service);
      const { workload, schedulings } = simulationOf(request, found);
      const outcomes = await simulateAside(workload, schedulings, MAX_SIMULATION_MS);
      if (format === "json") return context.json({ outcomes }, 200);
      return context.body(chartOutcomes(outcomes), 200, { "content-type": "image/svg+xml" });
    } catch (error) {
      throw understood(error);
    } finally {
      running = false;
    }
  });
}

function understood(error: unknown): unknown {
  if (error instanceof SimulationTimeout) {
    return new ApiError(422, "takes_too_long", `${error.message}: ask for less`);
  }
  if (!(error instanceof SimulationError)) return error;
  const { message, field, tooMuch } = error;
  return tooMuch
    ? new ApiError(422, "too_much", message, field)
    : new ApiError(400, "invalid_request", message, field);
}

/** The backends that connections to the first port of a Service go to now. */
function liveBackends(state: ApiState, name: string): SimulatedBackend[] {
  const port = state.plan().services.get(name)?.ports[0];
  if (port === undefined || port.cluster.length === 0) {
    const what = port === undefined ? "there is no such Service with ports" : "it has no backends";
    throw new ApiError(404, "not_found", `service: ${JSON.stringify(name)}: ${what}`, "service");
  }
  return port.cluster.map(({ address, port, weight, pod }) => ({
    name: pod ?? formatSocketAddress(address, port),
    address,
    port,
    weight,
  }));
}
