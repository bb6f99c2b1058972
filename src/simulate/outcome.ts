/**
 * What a simulation tells.
 *
 * @module
 */

import type { SchedulerFlagName, SchedulerName } from "../plan/plan.ts";
import type { Spread } from "./spread.ts";

/** The load at an instant: connections open at backends, by weight. */
export interface LoadSample extends Spread {
  readonly second: number;
  /** Open at all backends together. */
  readonly open: number;
}

/** One value over time. */
export interface Summary {
  readonly mean: number;
  readonly worst: number;
}

/** What became of a backend. */
export interface BackendOutcome {
  readonly name: string;
  /** At the end; null: it is gone. */
  readonly weight: number | null;
  /** Connections that it was given. */
  readonly connections: number;
  /** Their share of all that were given to anybody. */
  readonly share: number;
  readonly meanOpen: number;
  readonly peakOpen: number;
}

/** What an event did. */
export interface EventOutcome {
  readonly second: number;
  readonly backend: string;
  /** As in the event. */
  readonly weight: number | null;
  /** Connections that were open to a backend that is gone. */
  readonly broken: number;
  /**
   * Share of clients that from then on get another backend, without need: neither left theirs nor
   * did they move to the event's. Null for schedulers that don't tie clients to backends.
   */
  readonly moved: number | null;
  /**
   * Greatest share of the new connections between two samples that went to the event's backend when
   * it came or got heavier, as a multiple of its part of the weights; null for other events.
   */
  readonly rush: number | null;
  /** Time until the variation is as before the event again; null: not before the next one. */
  readonly settledSeconds: number | null;
}

/** How one scheduler did. */
export interface Outcome {
  readonly scheduler: SchedulerName;
  readonly flags: readonly SchedulerFlagName[];
  /** Connections that arrived, and those of them that nobody took. */
  readonly arrived: number;
  readonly refused: number;
  /** Open connections: greatest ÷ mean over the second half of the samples. */
  readonly peak: Summary;
  /** Open connections: coefficient of variation over the second half of the samples. */
  readonly variation: Summary;
  /** Connections given over the whole time: only of those that were there all the time, unchanged. */
  readonly given: Spread;
  readonly samples: readonly LoadSample[];
  readonly backends: readonly BackendOutcome[];
  readonly events: readonly EventOutcome[];
}
