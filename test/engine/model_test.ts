/**
 * UDP through the engine against a model that says the same in the plainest way: a map of flows, a
 * list of backends with a cursor, a map of affinities.
 */

import fc from "fast-check";
import assert from "node:assert/strict";
import { Bench, type ServiceSpec } from "./harness.ts";

const CLIENTS = ["10.50.0.2", "10.50.0.3", "10.60.0.3"];
const PORTS = [1000, 2000, 3000];
const BACKENDS = ["10.60.0.2:53", "10.60.0.3:53", "10.60.0.4:53", "10.60.0.5:53"];
const NODE_ADDRESS = "10.60.0.1";
const SERVICE = { dest: "10.99.9.9", port: 53, protocol: "UDP" as const };

interface Flow {
  readonly backend: string;
  /** What the backend sees as source. */
  readonly seenAs: string;
  readonly streamAt: number;
  expiresAt: number;
  answered: boolean;
  assured: boolean;
}

type Step =
  | { readonly do: "send" | "answer"; readonly client: number; readonly port: number }
  | { readonly do: "wait"; readonly ms: number }
  | { readonly do: "backends"; readonly weights: readonly number[] }
  | { readonly do: "expire" };

class Model {
  readonly flows = new Map<string, Flow>();
  readonly affinities = new Map<string, { backend: string; expiresAt: number }>();
  pool: { readonly backend: string; readonly weight: number }[] = [];
  cursor = 0;
  now = 1000;

  constructor(readonly affinityMs: number) {}

  flow(key: string): Flow | undefined {
    const flow = this.flows.get(key);
    if (flow === undefined || flow.expiresAt > this.now) return flow;
    this.flows.delete(key);
  }

  /** "seen as > backend", or null when it is refused. */
  send(client: string, port: number): string | null {
    const key = `${client}:${port}`;
    let flow = this.flow(key);
    if (flow === undefined) {
      const backend = this.pick(client);
      if (backend === null) return null;
      const hairpin = backend.startsWith(`${client}:`);
      flow = {
        backend,
        seenAs: `${hairpin ? NODE_ADDRESS : client}:${port}`,
        streamAt: this.now + 2000,
        expiresAt: this.now + 30_000,
        answered: false,
        assured: false,
      };
      this.flows.set(key, flow);
    } else this.refresh(flow);
    return `${flow.seenAs} > ${flow.backend}`;
  }

  answer(key: string): void {
    const flow = this.flow(key)!;
    this.refresh(flow);
    flow.answered = true;
  }

  refresh(flow: Flow): void {
    const stream = flow.answered && this.now > flow.streamAt;
    if (stream) flow.assured = true;
    flow.expiresAt = this.now + (stream ? 120_000 : 30_000);
  }

  pick(client: string): string | null {
    if (!this.pool.some(({ weight }) => weight > 0)) return null;
    const known = this.affinities.get(client);
    let chosen = known !== undefined && known.expiresAt > this.now &&
        this.pool.some(({ backend, weight }) => backend === known.backend && weight > 0)
      ? known.backend
      : null;
    while (chosen === null) {
      const { backend, weight } = this.pool[this.cursor % this.pool.length];
      this.cursor = this.cursor % this.pool.length + 1;
      if (weight > 0) chosen = backend;
    }
    if (this.affinityMs > 0) {
      this.affinities.set(client, { backend: chosen, expiresAt: this.now + this.affinityMs });
    }
    return chosen;
  }

  /** New ones go to the head, those that stay keep their order. */
  setBackends(wanted: Model["pool"]): void {
    const names = wanted.map(({ backend }) => backend);
    const find = (name: string) => wanted.find(({ backend }) => backend === name);
    const known = this.pool.map(({ backend }) => backend);
    const fresh = wanted.filter(({ backend }) => !known.includes(backend));
    const stay = (name: string) => find(name) !== undefined;
    const before = known.slice(0, this.cursor).filter(stay).length;
    this.cursor = before === 0 ? 0 : fresh.length + before;
    this.pool = [...fresh, ...known.filter(stay).map((name) => find(name)!)];
    for (const [key, { backend }] of this.flows) {
      if (!names.includes(backend)) this.flows.delete(key);
    }
    for (const [client, { backend }] of this.affinities) {
      if (!names.includes(backend)) this.affinities.delete(client);
    }
  }
}

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 6,
    arbitrary: fc.record({
      do: fc.constantFrom("send" as const, "answer" as const),
      client: fc.nat({ max: CLIENTS.length - 1 }),
      port: fc.nat({ max: PORTS.length - 1 }),
    }),
  },
  {
    weight: 2,
    arbitrary: fc.record({
      do: fc.constant("wait" as const),
      ms: fc.constantFrom(1, 999, 2001, 29_999, 30_000, 119_999, 120_000),
    }),
  },
  {
    arbitrary: fc.record({
      do: fc.constant("backends" as const),
      // −1: not there.
      weights: fc.array(fc.constantFrom(-1, 0, 1, 1, 2), { minLength: 4, maxLength: 4 }),
    }),
    weight: 1,
  },
  { weight: 1, arbitrary: fc.constant({ do: "expire" as const }) },
);

function spec(pool: Model["pool"], affinityMs: number): ServiceSpec {
  return {
    protocol: "UDP",
    port: SERVICE.port,
    backends: pool.map(({ backend, weight }) => `${backend}*${weight}`),
    affinitySeconds: affinityMs === 0 ? undefined : affinityMs / 1000,
    route: { action: "forward", to: "cluster", masquerade: false },
  };
}

function run(steps: readonly Step[], affinityMs: number): void {
  const model = new Model(affinityMs);
  const bench = new Bench([spec([], affinityMs)]);
  for (const step of steps) {
    if (step.do === "wait") {
      model.now += step.ms;
      bench.nowMs += step.ms;
    } else if (step.do === "backends") {
      const pool = step.weights.map((weight, i) => ({ backend: BACKENDS[i], weight }))
        .filter(({ weight }) => weight >= 0);
      model.setBackends(pool);
      bench.update(spec(pool, affinityMs));
    } else if (step.do === "expire") {
      bench.engine.expire(bench.nowMs, 1000);
    } else {
      const [client, port] = [CLIENTS[step.client], PORTS[step.port]];
      const flow = model.flow(`${client}:${port}`);
      if (step.do === "send") {
        const expected = model.send(client, port);
        const got = bench.send({ source: client, sourcePort: port, ...SERVICE });
        if (expected === null) assert.match(got.verdict, /^reply: unreachable|drop: reject_rate$/);
        else assert.equal(got.route, expected);
      } else if (flow !== undefined) {
        model.answer(`${client}:${port}`);
        const [address, backendPort] = flow.backend.split(":");
        const [seen, seenPort] = flow.seenAs.split(":");
        const got = bench.send({
          source: address,
          sourcePort: Number(backendPort),
          dest: seen,
          port: Number(seenPort),
          protocol: "UDP",
        });
        assert.equal(got.route, `${SERVICE.dest}:53 > ${client}:${port}`);
      }
    }
    const expected = [...model.flows].filter(([, flow]) => flow.expiresAt > model.now)
      .map(([key, { backend, assured, expiresAt }]) =>
        `${key} ${backend} ${assured} ${expiresAt - model.now}`
      );
    const got = bench.connections().map(({ original, reply, assured, expiresInMs }) =>
      `${original.source}:${original.sourcePort} ${reply.source}:${reply.sourcePort} ` +
      `${assured} ${expiresInMs}`
    );
    assert.deepEqual(got.sort(), expected.sort());
  }
  const { backends } = bench.engine.counters();
  bench.engine.expire(bench.nowMs, 1000);
  const active = bench.engine.counters().backends.reduce((sum, { active }) => sum + active, 0);
  assert.equal(active, bench.engine.counters().connections.now);
  assert.equal(backends.length, model.pool.length);
}

for (const affinityMs of [0, 50_000]) {
  Deno.test(`UDP flows are what the model says (affinity ${affinityMs} ms)`, () => {
    fc.assert(fc.property(fc.array(step, { maxLength: 60 }), (steps) => run(steps, affinityMs)), {
      numRuns: 150,
    });
  });
}
