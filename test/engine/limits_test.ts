/** Full tables, expiry, batches, options. */

import assert from "node:assert/strict";
import { Counter, PacketVerdict } from "../../src/engine/abi.ts";
import { Engine } from "../../src/engine/engine.ts";
import { Bench, SMALL } from "./harness.ts";
import { ACK, buildPacket, parsePacket, SYN } from "./packets.ts";

const CLIENT = { source: "10.50.0.2", dest: "10.99.9.9", port: 80 };

function establish(bench: Bench, sourcePort: number): void {
  const { dest, port } = parsePacket(bench.send({ ...CLIENT, sourcePort, seq: 1 }).bytes);
  const back = { source: dest, sourcePort: port, dest: CLIENT.source, port: sourcePort };
  bench.send({ ...back, flags: SYN | ACK, seq: 1, ack: 2 });
  bench.send({ ...CLIENT, sourcePort, flags: ACK, seq: 2, ack: 2 });
}

Deno.test("a flood of SYNs pushes out half-open connections only", () => {
  const bench = new Bench([{ backends: ["10.60.0.2:80"] }], { connections: 256 });
  for (let i = 0; i < 128; i++) establish(bench, 1000 + i);
  for (let i = 0; i < 5000; i++) bench.send({ ...CLIENT, sourcePort: 10000 + i });
  const assured = bench.connections().filter((connection) => connection.assured);
  assert.equal(assured.length, 128);
  const { now: full } = bench.engine.counters().connections;
  assert.ok(full > 240 && full <= 256, `${full}`);
  assert.ok(bench.engine.total(Counter.EarlyDropped) > 1000);
  const { created, now } = bench.engine.counters().connections;
  assert.equal(created - bench.engine.total(Counter.EarlyDropped), now);
});

Deno.test("a table full of assured connections takes no more, and recovers", () => {
  const bench = new Bench([{ backends: ["10.60.0.2:80"] }], { connections: 16 });
  for (let i = 0; i < 16; i++) establish(bench, 1000 + i);
  assert.equal(bench.send({ ...CLIENT, sourcePort: 9 }).verdict, "drop: table_full");
  assert.equal(bench.connections().length, 16);
  bench.nowMs += 432_000_000;
  bench.engine.expire(bench.nowMs, 16);
  assert.equal(bench.engine.counters().connections.now, 0);
  assert.equal(bench.send({ ...CLIENT, sourcePort: 9 }).verdict, "forward: new");
});

Deno.test("expiry looks at no more than its budget", () => {
  const bench = new Bench([{ backends: ["10.60.0.2:80"] }]);
  for (let i = 0; i < 100; i++) bench.send({ ...CLIENT, sourcePort: 1000 + i });
  bench.nowMs += 120_000;
  bench.engine.expire(bench.nowMs, 30);
  assert.equal(bench.engine.counters().connections.now, 70);
  bench.engine.expire(bench.nowMs, 70);
  assert.equal(bench.engine.counters().connections.now, 0);
  assert.equal(bench.engine.counters().backends[0].active, 0);
});

Deno.test("the clock never goes back", () => {
  const bench = new Bench([{ backends: ["10.60.0.2:80"] }]);
  bench.send({ ...CLIENT, sourcePort: 1 });
  for (const time of [500, -1, NaN, Infinity]) bench.engine.expire(time, 1);
  assert.equal(bench.connection().expiresInMs, 120_000);
});

Deno.test("a batch goes around the ring, and its packets see each other", () => {
  const bench = new Bench([{ backends: ["10.60.0.2:80", "10.60.0.3:80"] }]);
  const { engine } = bench;
  const order = [6, 7, 0, 1];
  const packets = [1, 1, 2, 1].map((sourcePort) => buildPacket({ ...CLIENT, sourcePort }));
  order.forEach((slot, i) => {
    engine.slotBytes(slot).set(packets[i]);
    engine.setLength(slot, packets[i].length);
  });
  engine.process(6, 4, 5000);
  const went = order.map((slot) => {
    assert.equal(engine.verdict(slot), PacketVerdict.Forward);
    return parsePacket(engine.slotBytes(slot).slice(0, engine.outputLength(slot))).dest;
  });
  assert.deepEqual(went, ["10.60.0.2", "10.60.0.2", "10.60.0.3", "10.60.0.2"]);
  assert.equal(engine.counters().connections.created, 2);
});

Deno.test("impossible batches change nothing", () => {
  const { engine } = new Bench([{ backends: ["10.60.0.2:80"] }]);
  engine.process(8, 1, 5000);
  engine.process(0, 9, 5000);
  engine.process(2 ** 32 - 1, 1, 5000);
  assert.equal(engine.counters().packets, 0);
});

Deno.test("pages of connections are complete and without repetition", () => {
  const bench = new Bench([{ backends: ["10.60.0.2:80"] }]);
  for (let i = 0; i < 250; i++) bench.send({ ...CLIENT, sourcePort: 1000 + i });
  const ports = new Set<number>();
  let pages = 0;
  for (let cursor: number | null = 0; cursor !== null; pages++) {
    const page = bench.engine.conntrack(cursor, 60);
    for (const { original } of page.entries) ports.add(original.sourcePort);
    cursor = page.next;
  }
  assert.equal(pages, 5);
  assert.equal(ports.size, 250);
});

Deno.test("options out of bounds are refused", () => {
  const bad = [
    { connections: 0 },
    { connections: 1.5 },
    { slots: -1 },
    { slotSize: 100 },
    { connections: 2 ** 27 },
    { masqueradePorts: { first: 0, last: 5 } },
    { masqueradePorts: { first: 7, last: 5 } },
    { masqueradePorts: { first: 7, last: 65536 } },
    { tcpTimeouts: { established: 0 } },
  ];
  for (const options of bad) {
    assert.throws(
      () => Engine.create({ ...SMALL, ...options }),
      RangeError,
      JSON.stringify(options),
    );
  }
});

Deno.test("the default engine takes packets of 64 KiB", () => {
  const engine = Engine.create({ seed: 1n });
  assert.equal(engine.slotCount, 256);
  assert.equal(engine.slotCapacity, 12 + 65536);
  assert.equal(engine.slotBytes(255).length, engine.slotCapacity);
  for (let slot = 0; slot < 256; slot++) {
    assert.equal((engine.slotBytes(slot).byteOffset + 12) % 4, 0);
  }
});
