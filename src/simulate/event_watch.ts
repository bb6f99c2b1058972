/**
 * Watches what the events of a simulation do: which clients move, who is rushed at, and how long it
 * takes until the load is even again.
 *
 * @module
 */

import type { SchedulerName } from "../plan/plan.ts";
import type { NodeSchedulers } from "./node_schedulers.ts";
import type { EventOutcome, LoadSample } from "./outcome.ts";
import type { BackendEvent, Workload } from "./workload.ts";

/** Schedulers that tie clients to backends, whatever the load. */
const TYING: readonly SchedulerName[] = ["sh", "mh"];

/** Clients that are asked about. */
const ASKED = 2000;
/** The source port that they are asked with. */
const ASKED_PORT = 40_000;

/** The variation counts as before when it is at most so much of it, and a little more. */
const SETTLED = { times: 1.1, more: 0.02 };
/** Samples before an event that tell what the variation was. */
const BEFORE = 10;

/** An event that has happened. */
interface Watched {
  readonly event: BackendEvent;
  readonly broken: number;
  readonly moved: number | null;
  /** The backend's part of the weights when it is an event that draws connections; else null. */
  readonly part: number | null;
  rush: number;
}

/** What an event finds. */
interface Found {
  readonly homes: readonly number[] | null;
  readonly weight: number | null;
}

export class EventWatch {
  readonly #schedulers: NodeSchedulers;
  readonly #workload: Workload;
  readonly #tying: boolean;
  readonly #happened: Watched[] = [];
  #found: Found = { homes: null, weight: null };
  /** New connections since the last sample: all, and those to the last event's backend. */
  #given = 0;
  #givenToLast = 0;

  constructor(schedulers: NodeSchedulers, workload: Workload, scheduler: SchedulerName) {
    this.#schedulers = schedulers;
    this.#workload = workload;
    this.#tying = TYING.includes(scheduler);
  }

  /** The event that happens next; undefined after the last. */
  get next(): BackendEvent | undefined {
    return this.#workload.events[this.#happened.length];
  }

  /** The next event is about to change the weights. */
  before(weights: readonly (number | null)[]): void {
    this.#found = { homes: this.#homes(), weight: weights[this.next!.backend] };
  }

  /** It has changed them. */
  after(weights: readonly (number | null)[], broken: number): void {
    const event = this.next!;
    const draws = (event.weight ?? 0) > (this.#found.weight ?? 0);
    const total = weights.reduce((sum: number, weight) => sum + (weight ?? 0), 0);
    this.#happened.push({
      event,
      broken,
      moved: this.#moved(event),
      part: draws ? event.weight! / total : null,
      rush: 0,
    });
    this.#given = 0;
    this.#givenToLast = 0;
  }

  /** A backend was given a connection. */
  given(backend: number): void {
    this.#given++;
    if (this.#happened.at(-1)?.event.backend === backend) this.#givenToLast++;
  }

  /** A sample was taken. */
  sampled(): void {
    const last = this.#happened.at(-1);
    if (last !== undefined && last.part !== null && this.#given > 0) {
      last.rush = Math.max(last.rush, this.#givenToLast / this.#given / last.part);
    }
    this.#given = 0;
    this.#givenToLast = 0;
  }

  outcomes(samples: readonly LoadSample[]): EventOutcome[] {
    return this.#happened.map(({ event, broken, moved, part, rush }, i) => ({
      second: event.atSeconds,
      backend: this.#workload.backends[event.backend].name,
      weight: event.weight,
      broken,
      moved,
      rush: part === null ? null : rush,
      settledSeconds: settledSeconds(
        samples,
        event.atSeconds,
        this.#happened[i + 1]?.event.atSeconds ?? Infinity,
      ),
    }));
  }

  /** The backend of each client that is asked; null where it is not tied to one. */
  #homes(): number[] | null {
    if (!this.#tying) return null;
    const { clients, nodes } = this.#workload;
    const count = Math.min(clients.count, ASKED);
    return Array.from({ length: count }, (_, i) => {
      const client = Math.floor(i * clients.count / count);
      return this.#schedulers.pick(client % nodes, client, ASKED_PORT, 0);
    });
  }

  #moved({ backend }: BackendEvent): number | null {
    const before = this.#found.homes;
    const after = this.#homes();
    if (before === null || after === null) return null;
    const moved = after.filter((home, i) =>
      home !== before[i] && home !== backend && before[i] !== backend
    );
    return moved.length / after.length;
  }
}

function settledSeconds(
  samples: readonly LoadSample[],
  second: number,
  nextSecond: number,
): number | null {
  const before = samples.filter((sample) => sample.second <= second).slice(-BEFORE);
  if (before.length === 0) return null;
  const usual = before.reduce((sum, { variation }) => sum + variation, 0) / before.length;
  const enough = usual * SETTLED.times + SETTLED.more;
  const after = samples.filter((sample) => sample.second > second && sample.second <= nextSecond);
  const settled = after.find(({ variation }) => variation <= enough);
  return settled === undefined ? null : settled.second - second;
}
