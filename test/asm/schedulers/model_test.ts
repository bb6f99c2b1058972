/**
 * The engine's picks against the models', one by one, over random changes of the list and random
 * connections.
 */

import fc from "fast-check";
import assert from "node:assert/strict";
import type { SchedulerFlagName, SchedulerName } from "../../../src/plan/plan.ts";
import { type Model, MODELS, type Server } from "./model.ts";
import { type Connection, Rig, type RigOptions } from "./rig.ts";

type Step =
  /** New weights of servers; null: deleted. */
  | { readonly do: "change"; readonly weights: readonly (readonly [number, number | null])[] }
  | { readonly do: "open"; readonly client: number; readonly dest: number }
  | { readonly do: "close"; readonly which: number }
  | { readonly do: "wait" };

const DESTS = 6;

/** The engine and the model beside each other. */
class Pair {
  readonly rig: Rig;
  readonly model: Model;
  readonly servers = new Map<number, Server>();
  /** Established; in TCP active, in UDP inactive. */
  open: Connection[] = [];
  /** Inactive until time passes. */
  closing: Connection[] = [];
  nextPort = 1024;

  constructor(readonly options: RigOptions) {
    this.rig = new Rig({ ...options, dests: DESTS });
    this.model = new MODELS[options.scheduler as keyof typeof MODELS](options);
  }

  get isTcp(): boolean {
    return this.options.protocol !== "UDP";
  }

  server(number: number): Server {
    let server = this.servers.get(number);
    if (server === undefined) {
      server = {
        address: this.rig.server(number),
        port: this.rig.serverPort,
        weight: 0,
        lastWeight: 0,
        active: 0,
        inactive: 0,
        available: false,
      };
      this.servers.set(number, server);
    }
    return server;
  }

  change(weights: readonly (readonly [number, number | null])[]): void {
    const before = this.rig.weights;
    const after = new Map(before);
    for (const [number, weight] of weights) {
      if (weight === null) after.delete(number);
      else after.set(number, weight);
    }
    this.rig.change(after);
    const numbers = [...this.servers];
    const numberOf = (server: Server) => numbers.find(([, each]) => each === server)![0];
    for (const server of [...this.model.list]) {
      if (after.has(numberOf(server))) continue;
      this.model.delete(server);
      // The clients of UDP servers that are gone move on at once.
      if (!this.isTcp) this.#drop(server);
    }
    const ascending = [...after].toSorted(([a], [b]) => a - b);
    for (const [number, weight] of ascending) {
      if (before.has(number) && before.get(number) !== weight) {
        this.model.edit(this.server(number), weight);
      }
    }
    for (const [number, weight] of ascending) {
      if (!before.has(number)) this.model.add(this.server(number), weight);
    }
  }

  #drop(server: Server): void {
    server.inactive = 0;
    this.open = this.open.filter((connection) => this.server(connection.server) !== server);
  }

  connect(client: number, dest: number): void {
    const flow = this.rig.flow(client, this.nextPort++, dest);
    const expected = this.model.schedule(flow);
    const connection = this.rig.open(flow);
    const got = connection === null ? null : this.rig.server(connection.server);
    assert.equal(got, expected?.address ?? null);
    if (connection === null) return;
    if (this.isTcp) expected!.active++;
    else expected!.inactive++;
    this.open.push(connection);
  }

  close(which: number): void {
    if (!this.isTcp || this.open.length === 0) return;
    const [connection] = this.open.splice(which % this.open.length, 1);
    this.rig.close(connection);
    const server = this.server(connection.server);
    server.active--;
    server.inactive++;
    this.closing.push(connection);
  }

  wait(): void {
    this.rig.wait();
    const gone = this.isTcp ? this.closing : this.open;
    for (const { server } of gone) this.server(server).inactive--;
    gone.length = 0;
  }

  run(steps: readonly Step[]): void {
    for (const step of steps) {
      if (step.do === "change") this.change(step.weights);
      else if (step.do === "open") this.connect(step.client, step.dest);
      else if (step.do === "close") this.close(step.which);
      else this.wait();
    }
  }
}

const weight = fc.oneof(
  { weight: 5, arbitrary: fc.integer({ min: 1, max: 6 }) },
  { weight: 1, arbitrary: fc.constant(0) },
  { weight: 1, arbitrary: fc.integer({ min: 1, max: 65535 }) },
);

/** Steps over servers up to a number. */
function steps(servers: number): fc.Arbitrary<Step[]> {
  const number = fc.integer({ min: 1, max: servers });
  const changed = fc.tuple(number, fc.option(weight, { nil: null, freq: 3 }));
  return fc.array(
    fc.oneof(
      {
        weight: 2,
        arbitrary: fc.record({
          do: fc.constant("change" as const),
          weights: fc.array(changed, { minLength: 1, maxLength: 3 }),
        }),
      },
      {
        weight: 8,
        arbitrary: fc.record({
          do: fc.constant("open" as const),
          client: fc.integer({ min: 2, max: 400 }),
          dest: fc.integer({ min: 1, max: DESTS }),
        }),
      },
      {
        weight: 3,
        arbitrary: fc.record({ do: fc.constant("close" as const), which: fc.nat(1000) }),
      },
      { weight: 1, arbitrary: fc.constant({ do: "wait" as const }) },
    ),
    { minLength: 30, maxLength: 120, size: "max" },
  );
}

/** A list to begin with, brought as a whole. */
function beginning(servers: number): fc.Arbitrary<[number, number][]> {
  return fc.array(weight, { minLength: 0, maxLength: servers, size: "max" })
    .map((weights) => weights.map((weight, i) => [i + 1, weight]));
}

const FLAGS: Readonly<Partial<Record<SchedulerName, readonly (readonly SchedulerFlagName[])[]>>> = {
  sh: [["sh-fallback"], ["sh-port"], ["sh-fallback", "sh-port"]],
  mh: [["mh-fallback"], ["mh-port"], ["mh-fallback", "mh-port"]],
};

const VARIANTS: readonly Omit<RigOptions, "scheduler">[] = [
  {},
  { overhead: "inactive" },
  { protocol: "UDP" },
  { family: "IPv6" },
];

/** mh's tables are slow to fill in the model. */
const RUNS: Readonly<Partial<Record<SchedulerName, number>>> = { mh: 2 };

for (const scheduler of Object.keys(MODELS) as (keyof typeof MODELS)[]) {
  Deno.test(`${scheduler} picks what the model picks`, () => {
    const variants = [
      ...VARIANTS,
      ...(FLAGS[scheduler] ?? []).map((flags) => ({ flags })),
    ];
    for (const variant of variants) {
      for (const servers of [5, 40]) {
        fc.assert(
          fc.property(beginning(servers), steps(servers), (list, steps) => {
            const pair = new Pair({ scheduler, ...variant });
            pair.change(list);
            pair.run(steps);
          }),
          { numRuns: RUNS[scheduler] ?? 12 },
        );
      }
    }
  });
}
