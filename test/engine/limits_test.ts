/** Full tables, expiry, batches, options. */

import assert from "node:assert/strict";
import { Counter, PacketVerdict } from "../../src/engine/abi.ts";
import { Engine } from "../../src/engine/engine.ts";
import { Bench, NODE, SMALL } from "./harness.ts";
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

Deno.test("a connection's age counts from its first packet, not from its place's", () => {
  const bench = new Bench([{ backends: ["10.60.0.2:80"] }]);
  const age = () => bench.connection().ageSeconds;
  // Whatever the time was, an age may be off by a unit of 1024 ms.
  const isAbout = (seconds: number) =>
    assert.ok(Math.abs(age() - seconds) <= 1.1, `${age()} instead of ${seconds}`);
  establish(bench, 1);
  isAbout(0);
  for (const hours of [1, 20, 90]) {
    bench.nowMs += hours * 3600_000;
    bench.send({ ...CLIENT, sourcePort: 1, flags: ACK, seq: 2, ack: 2 });
  }
  isAbout(111 * 3600);
  bench.nowMs += 30 * 86400_000;
  establish(bench, 2);
  bench.nowMs += 77_000;
  isAbout(77);
});

Deno.test("an IPv6 connection has its age, too", () => {
  const bench = new Bench([{ backends: ["[fd00:60::2]:80"], address: "fd00:99::9" }]);
  bench.send({ source: "fd00:50::2", dest: "fd00:99::9", port: 80, sourcePort: 1 });
  bench.nowMs += 20_000;
  const { ageSeconds } = bench.connection();
  assert.ok(Math.abs(ageSeconds - 20) <= 1.1, String(ageSeconds));
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
    { udpTimeouts: { stream: 4_000_001 } },
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

Deno.test("a leap of the clock ends what ran out, and nothing comes back later", () => {
  const bench = new Bench([{ backends: ["10.60.0.2:80"] }]);
  establish(bench, 1000);
  bench.nowMs += 4 * 86_400_000;
  bench.send({ ...CLIENT, sourcePort: 2000 });
  assert.deepEqual(bench.connections().map(({ original }) => original.sourcePort), [1000, 2000]);
  for (const days of [2, 10, 30, 46, 49.8, 1000]) {
    bench.nowMs += days * 86_400_000;
    assert.deepEqual(bench.engine.conntrack(0, 10, bench.nowMs).entries, []);
    assert.equal(bench.engine.counters().connections.now, 0);
  }
});

Deno.test("an IPv6 connection takes two places, and gives both back", () => {
  const spec = { address: "fd00:99::9", backends: ["[fd00:244::5]:80"] };
  const bench = new Bench([spec, { name: "v4", backends: ["10.60.0.2:80"] }], { connections: 17 });
  const client = { source: "fd00:50::2", dest: "fd00:99::9", port: 80 };
  for (let turn = 0; turn < 3; turn++) {
    for (let i = 0; i < 8; i++) {
      const { verdict } = bench.send({ ...client, sourcePort: 1000 + i, flags: ACK });
      assert.equal(verdict, "forward: new");
    }
    bench.send({ ...CLIENT, sourcePort: 1 });
    assert.equal(bench.engine.counters().connections.now, 9);
    bench.nowMs += 300_000;
    bench.engine.expire(bench.nowMs, 100);
    assert.equal(bench.engine.counters().connections.now, 0);
  }
});

Deno.test("connections stay with the address that they were masqueraded to", () => {
  const bench = new Bench([{ backends: ["10.60.0.2:80"], masquerade: true }]);
  const address = (last: number) => `10.60.0.${100 + last}`;
  const move = (last: number) =>
    bench.engine.apply({
      node: { ...NODE, addresses: [address(last)] },
      updated: [],
      removed: [],
    });
  for (let i = 0; i < 40; i++) {
    move(i);
    const { route } = bench.send({ ...CLIENT, sourcePort: 1000 + i });
    // There is room for 31 addresses that connections have.
    const known = Math.min(i, 30);
    assert.equal(route, `${address(known)}:${1000 + i} > 10.60.0.2:80`);
  }
  for (let i = 0; i < 30; i++) {
    const answer = { source: "10.60.0.2", sourcePort: 80, dest: address(i), port: 1000 + i };
    const { route } = bench.send({ ...answer, flags: SYN | ACK, ack: 1 });
    assert.equal(route, `10.99.9.9:80 > 10.50.0.2:${1000 + i}`);
  }
  bench.nowMs += 86_400_000;
  bench.engine.expire(bench.nowMs, 1000);
  move(39);
  assert.match(bench.send({ ...CLIENT, sourcePort: 9 }).route, /^10\.60\.0\.139:9 /);
});
