/**
 * What is simulated: clients that connect through nodes to backends, for a while.
 *
 * @module
 */

import type { SchedulerFlagName, SchedulerName } from "../plan/plan.ts";

/** When connections arrive, all nodes together. */
export interface Arrivals {
  /** Independent of each other, at equal distances, or many at once. */
  readonly process: "poisson" | "regular" | "bursts";
  /** On average. */
  readonly perSecond: number;
  /** Connections of a burst; bursts are independent of each other. */
  readonly burst: number;
}

/** How long connections are open. */
export interface Durations {
  readonly distribution: "constant" | "exponential" | "lognormal" | "pareto";
  readonly meanSeconds: number;
  /** Pareto's exponent, above 1, or the lognormal's sigma: how heavy the tail is. */
  readonly shape: number;
}

/** Who connects. Client c is a pod of node c modulo nodes, or comes in there. */
export interface Clients {
  readonly count: number;
  /** Each as often as the others, or the r-th as often as r to the minus exponent. */
  readonly distribution: "uniform" | "zipf";
  readonly exponent: number;
}

/** Where they go. */
export interface SimulatedBackend {
  readonly name: string;
  readonly address: string;
  readonly port: number;
  /** Null: it is not there at the start. */
  readonly weight: number | null;
}

/** A change of a backend. */
export interface BackendEvent {
  readonly atSeconds: number;
  /** Number of the backend, from 0. */
  readonly backend: number;
  /** The weight from then on; 0: it only keeps what it has; null: it is gone, with its connections. */
  readonly weight: number | null;
}

/** A simulation; the same one always has the same outcome. */
export interface Workload {
  readonly seed: number;
  readonly seconds: number;
  readonly nodes: number;
  readonly arrivals: Arrivals;
  readonly durations: Durations;
  /** Closed connections count as inactive for this time. */
  readonly lingerSeconds: number;
  readonly clients: Clients;
  readonly backends: readonly SimulatedBackend[];
  /** In the order of time. */
  readonly events: readonly BackendEvent[];
}

/** How it is scheduled. */
export interface Scheduling {
  readonly scheduler: SchedulerName;
  readonly flags: readonly SchedulerFlagName[];
  /** See the engine's option of this name. */
  readonly overhead: "all" | "inactive";
}
