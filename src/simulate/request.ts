/**
 * A simulation as it is asked for, in a file or over HTTP, and the workload that it means.
 *
 * @module
 */

import { z } from "zod";
import { formatSocketAddress, parseAddress } from "../net/address.ts";
import { SCHEDULER_FLAGS, SCHEDULER_NAMES } from "../plan/scheduling.ts";
import type { Scheduling, SimulatedBackend, Workload } from "./workload.ts";

/** The most that can be asked for. */
export const SIMULATION_LIMITS = {
  /** Connections on average, all schedulers together. */
  connections: 500_000,
  /** Nodes × backends. */
  counters: 100_000,
  /** Schedulers × backends: what is answered about. */
  figures: 20_000,
  backends: 10_000,
  nodes: 1000,
  clients: 1_000_000,
  events: 100,
  seconds: 86_400,
} as const;

function number(least: number, most: number) {
  const error = { error: `expected a number from ${least} to ${most}` };
  return z.number(error).min(least, error).max(most, error);
}

function whole(least: number, most: number) {
  const error = { error: `expected a whole number from ${least} to ${most}` };
  return z.int(error).min(least, error).max(most, error);
}

function word<const T extends readonly string[]>(words: T) {
  return z.enum(words, { error: `expected one of ${words.join(", ")}` });
}

function list<T extends z.ZodType>(items: T, most: number) {
  return z.array(items, { error: "expected a list" }).max(most, `expected at most ${most}`);
}

const weight = whole(0, 65_535).nullable();

const address = z.string({ error: "expected an IP address" }).max(64, "expected an IP address")
  .transform((text, context): string => {
    const canonical = parseAddress(text);
    if (canonical !== null) return canonical;
    context.addIssue({ code: "custom", message: "expected an IP address" });
    return z.NEVER;
  });

const Backend = z.strictObject({
  name: z.string().max(256).optional().describe("default: its address and port"),
  address: address.optional().describe("sh and mh go by it; default: 10.244.0.1 and so on"),
  port: whole(1, 65_535).default(8080),
  weight: weight.default(1).describe("null: it is not there at the start"),
});

const Event = z.strictObject({
  atSeconds: number(0, SIMULATION_LIMITS.seconds).meta({ example: 30 }),
  backend: whole(0, SIMULATION_LIMITS.backends - 1).describe("number of the backend, from 0")
    .meta({ example: 0 }),
  weight: weight.describe(
    "from then on; 0: it only keeps what it has; null: it is gone, with its connections",
  ),
});

const Arrivals = z.strictObject({
  process: word(["poisson", "regular", "bursts"]).default("poisson")
    .describe("independent of each other, at equal distances, or many at once"),
  perSecond: number(0.001, 1_000_000).default(500).meta({ example: 100 })
    .describe("all nodes together, on average"),
  burst: whole(1, 10_000).default(20).describe("connections that arrive at once, in bursts"),
});

const Durations = z.strictObject({
  distribution: word(["constant", "exponential", "lognormal", "pareto"]).default("exponential"),
  meanSeconds: number(0.001, SIMULATION_LIMITS.seconds).default(5).meta({ example: 5 }),
  shape: number(0.1, 10).default(1.5).meta({ example: 1.5 })
    .describe("pareto: the exponent, above 1; lognormal: sigma"),
}).refine(({ distribution, shape }) => distribution !== "pareto" || shape > 1, {
  path: ["shape"],
  error: "expected more than 1 with pareto",
});

const Clients = z.strictObject({
  count: whole(1, SIMULATION_LIMITS.clients).default(10_000).meta({ example: 1000 }),
  distribution: word(["uniform", "zipf"]).default("uniform"),
  exponent: number(0, 5).default(1).meta({ example: 1 })
    .describe("zipf: the r-th client connects as often as r to the minus this"),
});

/** What can be asked for; what is left out has a default. */
export const SimulationRequest = z.strictObject({
  schedulers: list(word(SCHEDULER_NAMES), SCHEDULER_NAMES.length).min(1, "expected at least one")
    .default(["rr", "lc", "mh"]).describe("each sees the same connections arrive"),
  flags: list(word(SCHEDULER_FLAGS as readonly [string, ...string[]]), SCHEDULER_FLAGS.length)
    .default([]).describe("for those schedulers that know them"),
  overhead: word(["all", "inactive"]).default("all")
    .describe("what lc, wlc, lblc, lblcr and twos weigh: as Linux since 2026, or before"),
  seed: whole(0, 2 ** 32 - 1).default(1).describe("the same one gives the same outcome"),
  seconds: number(0.1, SIMULATION_LIMITS.seconds).default(60).meta({ example: 60 }),
  nodes: whole(1, SIMULATION_LIMITS.nodes).default(1).meta({ example: 3 })
    .describe("each schedules on its own; client c comes in at node c modulo nodes"),
  arrivals: Arrivals.prefault({}),
  durations: Durations.prefault({}),
  lingerSeconds: number(0, 3600).default(0)
    .describe("closed connections count as inactive for this time"),
  clients: Clients.prefault({}),
  service: z.string().max(512).optional()
    .describe("namespace/name of a Service of this cluster: its backends, of its first port"),
  backends: z.union([
    whole(1, SIMULATION_LIMITS.backends),
    list(Backend, SIMULATION_LIMITS.backends).min(1, "expected at least one"),
  ], { error: "expected a number of backends, or a list of them" }).optional()
    .describe("how many, all of weight 1, or which; default: 10, or those of the service"),
  events: list(Event, SIMULATION_LIMITS.events).default([]),
}, { error: (issue) => issue.code === "invalid_type" ? "expected an object" : undefined });

export type SimulationRequest = z.output<typeof SimulationRequest>;

/** A request that has the right shape and still cannot be done. */
export class SimulationError extends Error {
  override readonly name = "SimulationError";

  /** @param tooMuch whether it is a matter of how much is asked for. */
  constructor(readonly field: string, message: string, readonly tooMuch = false) {
    super(`${field}: ${message}`);
  }
}

/**
 * The workload that a request means, and how it is scheduled in turn.
 *
 * @param found the backends of the Service that it names.
 * @throws {SimulationError}
 */
export function simulationOf(
  request: SimulationRequest,
  found: readonly SimulatedBackend[] | null = null,
): { workload: Workload; schedulings: readonly Scheduling[] } {
  const { schedulers, flags, overhead, service: _, backends: asked, events, ...rest } = request;
  if (found !== null && asked !== undefined) {
    throw new SimulationError("backends", "expected none beside service");
  }
  const backends = found ?? backendsOf(asked ?? 10);
  const workload: Workload = {
    ...rest,
    backends,
    events: events.toSorted((a, b) => a.atSeconds - b.atSeconds),
  };
  checkBackends(backends, request);
  checkAmount(workload, schedulers.length);
  const schedulings = schedulers.map((scheduler): Scheduling => ({
    scheduler,
    flags: SCHEDULER_FLAGS.filter((flag) =>
      flags.includes(flag) && flag.startsWith(`${scheduler}-`)
    ),
    overhead,
  }));
  return { workload, schedulings };
}

function backendsOf(asked: NonNullable<SimulationRequest["backends"]>): SimulatedBackend[] {
  const listed = typeof asked === "number"
    ? Array.from({ length: asked }, () => ({ port: 8080, weight: 1, name: undefined }))
    : asked;
  return listed.map((backend, i) => {
    const given = "address" in backend ? backend.address : undefined;
    const address = given ?? `10.244.${(i + 1) >> 8}.${(i + 1) & 255}`;
    const name = backend.name ?? formatSocketAddress(address, backend.port);
    return { name, address, port: backend.port, weight: backend.weight };
  });
}

function checkBackends(backends: readonly SimulatedBackend[], { events }: SimulationRequest): void {
  const isV6 = backends[0].address.includes(":");
  const places = new Set<string>();
  for (const [i, { address, port }] of backends.entries()) {
    const field = `backends[${i}].address`;
    if (address.includes(":") !== isV6) {
      throw new SimulationError(field, "expected one IP family for all backends");
    }
    const place = `${address} ${port}`;
    if (places.has(place)) throw new SimulationError(field, `${address}:${port} is there twice`);
    places.add(place);
  }
  for (const [i, { backend }] of events.entries()) {
    if (backend < backends.length) continue;
    throw new SimulationError(
      `events[${i}].backend`,
      `expected at most ${backends.length - 1}, the number of the last backend`,
    );
  }
}

function checkAmount({ nodes, backends, seconds, arrivals }: Workload, schedulers: number): void {
  const atMost = (field: string, amount: number, most: number, what: string) => {
    if (amount <= most) return;
    throw new SimulationError(field, `${amount} ${what}: expected at most ${most}`, true);
  };
  const { counters, figures, connections } = SIMULATION_LIMITS;
  atMost("nodes", nodes * backends.length, counters, "nodes × backends");
  atMost("backends", schedulers * backends.length, figures, "schedulers × backends");
  atMost(
    "arrivals.perSecond",
    Math.ceil(arrivals.perSecond * seconds * schedulers),
    connections,
    "connections (perSecond × seconds × schedulers)",
  );
}
