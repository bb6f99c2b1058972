/** Connections tried on another backend when one refuses or stays silent. */

import assert from "node:assert/strict";
import { Bench } from "../engine/harness.ts";
import {
  ACK,
  buildIcmpError,
  buildPacket,
  ipOf,
  parsePacket,
  PSH,
  RST,
  SYN,
} from "../engine/packets.ts";

const BACKENDS = ["10.60.0.2:8080", "10.60.0.3:8080", "10.60.0.4:8080"];
const CLIENT = { source: "10.50.0.2", sourcePort: 5000, dest: "10.99.9.9", port: 80, seq: 1000 };
const OPTIONS = Uint8Array.of(2, 4, 5, 0xb4, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 0, 1, 3, 3, 7);

function bench(extra = {}, options = {}): Bench {
  return new Bench([{ backends: BACKENDS, masquerade: true, ...extra }], {
    retryBackends: true,
    ...options,
  });
}

/** The backend's refusal of what the engine sent it. */
function refuse(engine: Bench, sent: Uint8Array, changes = {}) {
  const { source, sourcePort, dest, port, seq } = parsePacket(sent);
  return engine.send({
    source: dest,
    sourcePort: port,
    dest: source,
    port: sourcePort,
    flags: RST | ACK,
    seq: 0,
    ack: seq + 1,
    ...changes,
  });
}

for (const partial of [false, true]) {
  Deno.test(`a refused SYN goes to the next backend as it was (${partial ? "partial" : "full"} checksum)`, () => {
    const engine = bench();
    const syn = buildPacket({ ...CLIENT, options: OPTIONS, ttl: 33, partial });
    const first = engine.sendBytes(syn);
    assert.equal(first.route, "10.60.0.1:5000 > 10.60.0.2:8080");
    const second = refuse(engine, first.bytes);
    assert.equal(second.verdict, "forward: retried");
    assert.equal(second.route, "10.60.0.1:5000 > 10.60.0.3:8080");
    assert.deepEqual(second.bytes.subarray(0, 12), syn.subarray(0, 12));
    const got = parsePacket(second.bytes);
    assert.deepEqual([got.flags, got.seq, got.ttl], [SYN, 1000, 33]);
    assert.deepEqual(got.transport.subarray(20), OPTIONS);
    assert.equal(ipOf(second.bytes).length, ipOf(syn).length);
    const answer = engine.send({
      source: "10.60.0.3",
      sourcePort: 8080,
      dest: "10.60.0.1",
      port: 5000,
      flags: SYN | ACK,
      ack: 1001,
    });
    assert.equal(answer.route, "10.99.9.9:80 > 10.50.0.2:5000");
    assert.deepEqual(
      // In the plan's order, which is BACKENDS from its end.
      engine.engine.counters().backends.map(({ connections, active }) => [connections, active]),
      [[0, 0], [1, 1], [1, 0]],
    );
    assert.equal(engine.engine.counters().retried, 1);
  });
}

Deno.test("when all have refused, the client gets the reset", () => {
  const engine = bench();
  let out = engine.send(CLIENT);
  out = refuse(engine, out.bytes);
  assert.match(out.route, /10\.60\.0\.3:8080$/);
  out = refuse(engine, out.bytes);
  assert.match(out.route, /10\.60\.0\.4:8080$/);
  out = refuse(engine, out.bytes);
  assert.equal(out.verdict, "forward: tracked");
  assert.equal(out.route, "10.99.9.9:80 > 10.50.0.2:5000");
  assert.equal(parsePacket(out.bytes).flags, RST | ACK);
  assert.equal(engine.connections().length, 0);
});

Deno.test("a repeated SYN moves on to the next backend, each once", () => {
  const engine = bench();
  const routes = Array.from({ length: 5 }, () => {
    engine.nowMs += 1000;
    return engine.send(CLIENT).route.split(" > ")[1];
  });
  assert.deepEqual(routes, [...BACKENDS, BACKENDS[2], BACKENDS[2]]);
  assert.equal(engine.connections().length, 1);
});

Deno.test("backends of weight 0 are not tried", () => {
  const engine = bench({ backends: ["10.60.0.2:8080", "10.60.0.3:8080*0", "10.60.0.4:8080"] });
  const first = engine.send(CLIENT);
  assert.match(refuse(engine, first.bytes).route, /10\.60\.0\.4:8080$/);
});

Deno.test("what was answered once, or doesn't acknowledge the SYN, is not tried again", () => {
  const engine = bench();
  const first = engine.send(CLIENT);
  const forged = refuse(engine, first.bytes, { ack: 77 });
  assert.notEqual(forged.verdict, "forward: retried");
  const other = bench();
  const sent = other.send(CLIENT);
  refuse(other, sent.bytes, { flags: SYN | ACK, seq: 9 });
  other.send({ ...CLIENT, flags: ACK, seq: 1001, ack: 10 });
  const reset = refuse(other, sent.bytes, { flags: RST, seq: 10 });
  assert.equal(reset.verdict, "forward: tracked");
});

Deno.test("the client's affinity moves along", () => {
  const engine = bench({ affinitySeconds: 100 });
  const first = engine.send(CLIENT);
  refuse(engine, first.bytes);
  const next = engine.send({ ...CLIENT, sourcePort: 5001 });
  assert.match(next.route, /10\.60\.0\.3:8080$/);
});

Deno.test("a SYN with data too long to keep is not sent again", () => {
  const engine = bench();
  const first = engine.send({ ...CLIENT, payload: new Uint8Array(200), flags: SYN | PSH });
  const { source, sourcePort } = parsePacket(first.bytes);
  const reset = engine.send({
    source: "10.60.0.2",
    sourcePort: 8080,
    dest: source,
    port: sourcePort,
    flags: RST | ACK,
    ack: 1201,
  });
  assert.equal(reset.route, "10.99.9.9:80 > 10.50.0.2:5000");
});

Deno.test("more refused connections than are kept: the oldest get their reset", () => {
  const engine = bench({}, { keptSyns: 2 });
  const sent = [0, 1, 2].map((i) => engine.send({ ...CLIENT, sourcePort: 5000 + i }));
  assert.equal(refuse(engine, sent[0].bytes).verdict, "forward: tracked");
  assert.equal(refuse(engine, sent[1].bytes).verdict, "forward: retried");
  assert.equal(refuse(engine, sent[2].bytes).verdict, "forward: retried");
});

Deno.test("without the option nothing is tried again", () => {
  const engine = bench({}, { retryBackends: false });
  const first = engine.send(CLIENT);
  assert.equal(refuse(engine, first.bytes).route, "10.99.9.9:80 > 10.50.0.2:5000");
});

Deno.test("a backend that has left is not the start of another try", () => {
  const engine = bench();
  const first = engine.send(CLIENT);
  engine.update({ backends: ["10.60.0.7:8080"], masquerade: true });
  assert.equal(refuse(engine, first.bytes).verdict, "forward: tracked");
});

/** What a router says about a packet that it cannot deliver; the engine's answer. */
function undeliverable(
  engine: Bench,
  sent: Uint8Array,
  { code = 1, quoted = 28, change = (_: Uint8Array) => {} } = {},
) {
  const { source } = parsePacket(sent);
  const quote = ipOf(sent).slice(0, quoted);
  change(quote);
  return engine.sendBytes(buildIcmpError({ source: "10.60.0.9", dest: source }, 3, code, 0, quote));
}

Deno.test("a SYN that cannot be delivered goes to the next backend, then the client is told", () => {
  const engine = bench();
  let out = engine.send(CLIENT);
  for (const next of ["10.60.0.3", "10.60.0.4"]) {
    out = undeliverable(engine, out.bytes);
    assert.equal(out.verdict, "forward: retried");
    assert.equal(out.route, `10.60.0.1:5000 > ${next}:8080`);
    assert.deepEqual([parsePacket(out.bytes).flags, parsePacket(out.bytes).seq], [SYN, 1000]);
  }
  out = undeliverable(engine, out.bytes);
  assert.equal(out.verdict, "forward: related");
  assert.equal(parsePacket(out.bytes).dest, "10.50.0.2");
});

Deno.test("only an honest unreachable about the SYN itself moves a connection", () => {
  const engine = bench();
  const syn = engine.send(CLIENT).bytes;
  const kept = (out: { verdict: string }) => assert.equal(out.verdict, "forward: related");
  kept(undeliverable(engine, syn, { code: 4 }));
  kept(undeliverable(engine, syn, { change: (quote) => quote[24] ^= 0x40 }));
  engine.send({
    source: "10.60.0.2",
    sourcePort: 8080,
    dest: "10.60.0.1",
    port: 5000,
    flags: SYN | ACK,
    ack: 1001,
  });
  kept(undeliverable(engine, syn));
  assert.equal(engine.engine.counters().retried, 0);
});

Deno.test("without retries, an unreachable is the client's to know", () => {
  const engine = bench({}, { retryBackends: false });
  const syn = engine.send(CLIENT).bytes;
  assert.equal(undeliverable(engine, syn).verdict, "forward: related");
});
