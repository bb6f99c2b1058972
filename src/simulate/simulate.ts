/**
 * Simulates a workload: the engine's schedulers choose, and the load that follows is what they see
 * with the next connection.
 *
 * @module
 */

import { EndQueue } from "./end_queue.ts";
import { EventWatch } from "./event_watch.ts";
import { NodeSchedulers } from "./node_schedulers.ts";
import type { BackendOutcome, LoadSample, Outcome, Summary } from "./outcome.ts";
import { clients, durations, gaps, seedFor, uniform } from "./random.ts";
import { spreadOf } from "./spread.ts";
import type { BackendEvent, Scheduling, Workload } from "./workload.ts";

/** Instants at which the load is looked at. */
export const SAMPLES = 200;

/** A connection that a backend has, or that a node still remembers. */
interface Connection {
  readonly node: number;
  readonly backend: number;
  /** Which life of the backend it belongs to: those of a former one are broken. */
  readonly life: number;
  active: boolean;
}

/** Simulates one scheduler under a workload. */
export function simulate(workload: Workload, scheduling: Scheduling): Outcome {
  return new Simulation(workload, scheduling).run();
}

class Simulation {
  readonly #workload: Workload;
  readonly #scheduling: Scheduling;
  readonly #schedulers: NodeSchedulers;
  readonly #weights: (number | null)[];
  readonly #watch: EventWatch;
  readonly #ends = new EndQueue();
  /** By number; numbers of those that are over are used again. */
  readonly #connections: Connection[] = [];
  readonly #over: number[] = [];
  /** By backend. */
  readonly #open: number[];
  readonly #given: number[];
  readonly #peaks: number[];
  readonly #sums: number[];
  readonly #lives: number[];
  readonly #changed = new Set<number>();
  readonly #samples: LoadSample[] = [];
  #arrived = 0;
  #refused = 0;

  constructor(workload: Workload, scheduling: Scheduling) {
    const { backends, nodes, seed } = workload;
    const zeros = () => backends.map(() => 0);
    this.#workload = workload;
    this.#scheduling = scheduling;
    this.#schedulers = new NodeSchedulers(backends, { ...scheduling, nodes, seed: BigInt(seed) });
    this.#weights = backends.map(({ weight }) => weight);
    this.#watch = new EventWatch(this.#schedulers, workload, scheduling.scheduler);
    this.#open = zeros();
    this.#given = zeros();
    this.#peaks = zeros();
    this.#sums = zeros();
    this.#lives = zeros();
  }

  run(): Outcome {
    const { seed, seconds, arrivals, clients: who, durations: howLong } = this.#workload;
    const gap = gaps(arrivals, uniform(seedFor(seed, 0)));
    const client = clients(who, uniform(seedFor(seed, 1)));
    const duration = durations(howLong, uniform(seedFor(seed, 2)));
    const port = uniform(seedFor(seed, 3));
    this.#schedulers.setWeights(this.#weights);
    for (let now = gap(); now < seconds; now += gap()) {
      this.#advance(now);
      this.#arrive(now, client(), 1024 + Math.floor(port() * 64_512), duration());
    }
    this.#advance(seconds);
    return this.#outcome();
  }

  /** Everything that happens before the time, in its order. */
  #advance(time: number): void {
    while (true) {
      const sampleAt = (this.#samples.length + 1) * this.#workload.seconds / SAMPLES;
      const event = this.#watch.next;
      const next = Math.min(sampleAt, event?.atSeconds ?? Infinity, this.#ends.nextTime);
      if (next > time || this.#samples.length === SAMPLES) return;
      if (next === this.#ends.nextTime) this.#end(next, this.#ends.pop());
      else if (next === event?.atSeconds) this.#change(event);
      else this.#sample(next);
    }
  }

  #arrive(now: number, client: number, sourcePort: number, seconds: number): void {
    this.#arrived++;
    const node = client % this.#workload.nodes;
    const backend = this.#schedulers.pick(node, client, sourcePort, now * 1000);
    if (backend < 0) {
      this.#refused++;
      return;
    }
    this.#schedulers.opened(node, backend);
    this.#given[backend]++;
    this.#watch.given(backend);
    this.#peaks[backend] = Math.max(this.#peaks[backend], ++this.#open[backend]);
    const number = this.#over.pop() ?? this.#connections.length;
    this.#connections[number] = { node, backend, life: this.#lives[backend], active: true };
    this.#ends.push(now + seconds, number);
  }

  /** A connection closes, or what was left of it is forgotten. */
  #end(now: number, number: number): void {
    const connection = this.#connections[number];
    const { node, backend, active } = connection;
    const { lingerSeconds } = this.#workload;
    if (active) {
      this.#schedulers.closed(node, backend);
      if (connection.life === this.#lives[backend]) this.#open[backend]--;
      connection.active = false;
      if (lingerSeconds > 0) {
        this.#ends.push(now + lingerSeconds, number);
        return;
      }
    }
    this.#schedulers.forgotten(node, backend);
    this.#over.push(number);
  }

  #change(event: BackendEvent): void {
    const { backend, weight } = event;
    let broken = 0;
    this.#watch.before(this.#weights);
    if (weight === null) {
      broken = this.#open[backend];
      this.#open[backend] = 0;
      this.#lives[backend]++;
    }
    this.#weights[backend] = weight;
    this.#changed.add(backend);
    this.#schedulers.setWeights(this.#weights);
    this.#watch.after(this.#weights, broken);
  }

  #sample(second: number): void {
    const open = this.#open.reduce((sum, count) => sum + count, 0);
    this.#open.forEach((count, backend) => this.#sums[backend] += count);
    this.#samples.push({ second, open, ...spreadOf(this.#open, this.#weights) });
    this.#watch.sampled();
  }

  #outcome(): Outcome {
    const { scheduler, flags } = this.#scheduling;
    const late = this.#samples.slice(SAMPLES / 2);
    const steady = this.#weights.map((weight, i) => this.#changed.has(i) ? null : weight);
    return {
      scheduler,
      flags,
      arrived: this.#arrived,
      refused: this.#refused,
      peak: summary(late.map(({ peak }) => peak)),
      variation: summary(late.map(({ variation }) => variation)),
      given: spreadOf(this.#given, steady),
      samples: this.#samples,
      backends: this.#workload.backends.map(({ name }, i) => this.#backendOutcome(name, i)),
      events: this.#watch.outcomes(this.#samples),
    };
  }

  #backendOutcome(name: string, i: number): BackendOutcome {
    return {
      name,
      weight: this.#weights[i],
      connections: this.#given[i],
      share: this.#given[i] / Math.max(1, this.#arrived - this.#refused),
      meanOpen: this.#sums[i] / SAMPLES,
      peakOpen: this.#peaks[i],
    };
  }
}

function summary(values: readonly number[]): Summary {
  return {
    mean: values.reduce((sum, value) => sum + value, 0) / values.length,
    worst: Math.max(...values),
  };
}
