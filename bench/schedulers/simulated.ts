/**
 * What operators choose a scheduler by, simulated: how evenly load is spread under several workloads
 * and by several nodes, and what happens when a backend leaves, joins or is drained.
 *
 * @module
 */

import type { z } from "zod";
import { SCHEDULER_NAMES } from "../../src/plan/scheduling.ts";
import type { SchedulerName } from "../../src/plan/plan.ts";
import type { Outcome } from "../../src/simulate/outcome.ts";
import { simulationOf, SimulationRequest } from "../../src/simulate/request.ts";
import { simulate } from "../../src/simulate/simulate.ts";
import { plainRow, type Row } from "../report.ts";

type Input = z.input<typeof SimulationRequest>;

/** About 100 connections at each of 100 backends. */
const USUAL = {
  seconds: 40,
  backends: 100,
  clients: { count: 10_000 },
  arrivals: { perSecond: 2000 },
};

/** Without those that do not mean to spread, or do so by destinations, of which there is one. */
const SPREADING = SCHEDULER_NAMES.filter((name) =>
  !["fo", "ovf", "dh", "lblc", "lblcr"].includes(name)
);

const WORKLOADS: Readonly<Record<string, Input>> = {
  equal: { ...USUAL, durations: { distribution: "constant" } },
  /** A few clients make most connections: rank r as often as 1/r. */
  zipf: {
    ...USUAL,
    durations: { distribution: "constant" },
    clients: { count: 10_000, distribution: "zipf" },
  },
  /** Most connections are short, a few very long. */
  heavy: { ...USUAL, durations: { distribution: "pareto", shape: 1.2 } },
};

/** Nodes that schedule on their own, all together the usual workload. */
const NODES = [1, 10, 100] as const;

/** By what happens to backend 7 in the middle; it was not there when it joins. */
const EVENTS: Readonly<Record<string, Input>> = {
  leave: { events: [{ atSeconds: 20, backend: 7, weight: null }] },
  drain: { events: [{ atSeconds: 20, backend: 7, weight: 0 }] },
  join: {
    backends: Array.from({ length: 100 }, (_, i) => ({ weight: i === 7 ? null : 1 })),
    events: [{ atSeconds: 20, backend: 7, weight: 1 }],
  },
};

/** One outcome for each seed. */
function outcomesOf(scheduler: SchedulerName, input: Input, rounds: number): Outcome[] {
  return Array.from({ length: rounds }, (_, i) => {
    const request = SimulationRequest.parse({ ...input, schedulers: [scheduler], seed: i + 1 });
    const { workload, schedulings: [scheduling] } = simulationOf(request);
    return simulate(workload, scheduling);
  });
}

function spreadRowsOf(name: string, outcomes: readonly Outcome[]): Row[] {
  return [
    plainRow(`${name}/peak`, "max/mean", outcomes.map(({ peak }) => peak.mean)),
    plainRow(`${name}/variation`, "cv", outcomes.map(({ variation }) => variation.mean)),
  ];
}

/** Rows `spread/SCHEDULER/WORKLOAD/…`: open connections by backend; medians over seeds. */
export function spreadRows(rounds: number): Row[] {
  return SPREADING.flatMap((scheduler) =>
    Object.entries(WORKLOADS).flatMap(([name, workload]) =>
      spreadRowsOf(`spread/${scheduler}/${name}`, outcomesOf(scheduler, workload, rounds))
    )
  );
}

/**
 * Rows `nodes/SCHEDULER/NODES/…`: the same, with several nodes that know only their own connections,
 * and `start`, the connections given in the first half second, when all begin at once.
 */
export function nodesRows(rounds: number): Row[] {
  return SPREADING.flatMap((scheduler) =>
    NODES.flatMap((nodes) => {
      const name = `nodes/${scheduler}/${nodes}`;
      const usual = outcomesOf(scheduler, { ...WORKLOADS.equal, nodes }, rounds);
      const start = outcomesOf(scheduler, { ...WORKLOADS.equal, nodes, seconds: 0.5 }, rounds);
      return [
        ...spreadRowsOf(name, usual),
        plainRow(`${name}/start`, "max/mean", start.map(({ given }) => given.peak)),
      ];
    })
  );
}

/** Rows `disruption/SCHEDULER/EVENT/…`: what an event does, as far as it does that. */
export function disruptionRows(rounds: number): Row[] {
  return SPREADING.flatMap((scheduler) =>
    Object.entries(EVENTS).flatMap(([name, changes]) => {
      const input = { ...WORKLOADS.equal, ...changes };
      const outcomes = outcomesOf(scheduler, input, rounds);
      const events = outcomes.map(({ events }) => events[0]);
      const rowOf = (what: string, unit: string, values: readonly (number | null)[]) => {
        const known = values.filter((value) => value !== null);
        if (known.length === 0) return [];
        return [plainRow(`disruption/${scheduler}/${name}/${what}`, unit, known)];
      };
      return [
        ...(name === "leave"
          ? rowOf("broken", "connections", events.map(({ broken }) => broken))
          : []),
        ...(name === "drain"
          ? rowOf("refused", "% of connections", outcomes.map(refusedShare))
          : []),
        ...rowOf("moved", "% of clients", events.map(({ moved }) => moved && moved * 100)),
        ...rowOf("rush", "× its part", events.map(({ rush }) => rush)),
        ...rowOf("settled", "s", events.map(({ settledSeconds }) => settledSeconds)),
      ];
    })
  );
}

function refusedShare({ refused, arrived }: Outcome): number {
  return 100 * refused / arrived;
}
