/** Random segments through the engine, and through the model of TCP tracking. */

import fc from "fast-check";
import assert from "node:assert/strict";
import { Bench } from "../engine/harness.ts";
import { ACK, FIN, RST, SYN } from "../engine/packets.ts";
import { type Segment, TcpModel } from "./tcp_model.ts";

const CLIENT = { address: "10.50.0.2", port: 5000 };
const SERVICE = { address: "10.99.9.9", port: 80 };
const BACKEND = { address: "10.60.0.2", port: 8080 };

const FLAGS = { syn: SYN, synack: SYN | ACK, fin: FIN | ACK, ack: ACK, rst: RST };
/** Where the numbers of each side begin; the client's pass 2^32. */
const STARTS = [0xfffffff0, 70_000] as const;
/** What sides send and acknowledge: nothing yet, the SYN, some data, too much. */
const OFFSETS = [0, 1, 11, 12, 21, 22, 500_000];

type Step = { readonly wait: number } | Segment;

const number = (side: 0 | 1) =>
  fc.oneof(
    { weight: 9, arbitrary: fc.constantFrom(...OFFSETS) },
    { weight: 1, arbitrary: fc.constant(-STARTS[side]) },
  ).map((offset) => (STARTS[side] + offset) >>> 0);

const segment: fc.Arbitrary<Segment> = fc.constantFrom(0 as const, 1 as const).chain((direction) =>
  fc.record({
    direction: fc.constant(direction),
    class: fc.constantFrom("syn", "synack", "ack", "ack", "ack", "fin", "rst"),
    seq: number(direction),
    ack: number(direction === 0 ? 1 : 0),
    payload: fc.constantFrom(0, 0, 10),
    window: fc.constantFrom(0, 1000, 1000, 1000),
    acknowledges: fc.boolean(),
  }).map(({ acknowledges, ack, ...rest }) => {
    const withAck = rest.class === "syn" ? false : rest.class === "rst" ? acknowledges : true;
    return { ...rest, ack: withAck ? ack : undefined } as Segment;
  })
);

/** The usual beginning, so that random segments also meet connections that are open. */
const OPENING: readonly Segment[] = [
  { direction: 0, class: "syn", seq: STARTS[0], payload: 0, window: 1000 },
  {
    direction: 1,
    class: "synack",
    seq: STARTS[1],
    ack: (STARTS[0] + 1) >>> 0,
    payload: 0,
    window: 1000,
  },
  {
    direction: 0,
    class: "ack",
    seq: (STARTS[0] + 1) >>> 0,
    ack: STARTS[1] + 1,
    payload: 0,
    window: 1000,
  },
];

const step: fc.Arbitrary<Step> = fc.oneof(
  { weight: 10, arbitrary: segment },
  { weight: 1, arbitrary: fc.record({ wait: fc.constantFrom(1, 9999, 30_000, 120_000) }) },
);

/** What the model makes of a segment: the connection after it, and whether it went through. */
function ask(model: TcpModel | null, segment: Segment, now: number): [TcpModel | null, boolean] {
  const known = model !== null && model.expiresAt > now ? model : null;
  if (known === null && segment.direction === 1) return [null, false];
  const connection = known ?? new TcpModel();
  const result = connection.handle(segment, now);
  if (result === "invalid") return [known, false];
  if (result === "new") return ask(null, segment, now);
  if (segment.direction === 1) connection.answered();
  return [result === "last" ? null : connection, true];
}

function send(
  bench: Bench,
  { direction, class: kind, seq, ack, payload, window }: Segment,
): boolean {
  const [from, to] = direction === 0 ? [CLIENT, SERVICE] : [BACKEND, CLIENT];
  const { verdict } = bench.send({
    source: from.address,
    sourcePort: from.port,
    dest: to.address,
    port: to.port,
    flags: FLAGS[kind] | (ack === undefined ? 0 : ACK),
    seq,
    ack: ack ?? 0,
    window,
    payload: new Uint8Array(payload),
  });
  return verdict.startsWith("forward");
}

function run(steps: readonly Step[], open: boolean): void {
  const bench = new Bench([{ backends: [`${BACKEND.address}:${BACKEND.port}`] }]);
  let model: TcpModel | null = null;
  for (const next of [...(open ? OPENING : []), ...steps]) {
    if ("wait" in next) {
      bench.nowMs += next.wait;
      continue;
    }
    const [after, through]: [TcpModel | null, boolean] = ask(model, next, bench.nowMs);
    model = after;
    assert.equal(send(bench, next), through, JSON.stringify(next));
    const found = bench.connections()
      .map(({ state, assured, expiresInMs }) => ({ state, assured, expiresInMs }));
    const expected = model === null ? [] : [{
      state: model.state,
      assured: model.assured,
      expiresInMs: model.expiresAt - bench.nowMs,
    }];
    assert.deepEqual(found, expected, JSON.stringify(next));
  }
}

for (const open of [false, true]) {
  Deno.test(`TCP is tracked as the model says (${open ? "from an open connection" : "from nothing"})`, () => {
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => run(steps, open)),
      { numRuns: 400 },
    );
  });
}
