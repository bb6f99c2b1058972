/** Address translation, as observed on a Linux kernel with the same packets. */

import assert from "node:assert/strict";
import { Bench } from "../engine/harness.ts";
import { ACK, buildPacket, ipOf, parsePacket, PSH, SYN } from "../engine/packets.ts";

const SERVICE = { dest: "10.99.9.9", port: 80 };
const CLIENT = { source: "10.50.0.2", sourcePort: 5000, ...SERVICE };
const BACKEND = { source: "10.60.0.2", sourcePort: 8080 };

function bench(options = {}, masquerade = false): Bench {
  return new Bench([{ backends: ["10.60.0.2:8080"], masquerade }], options);
}

Deno.test("without masquerade, connections that fall together get another source port", () => {
  const engine = new Bench([
    { name: "a", address: "10.99.0.1", backends: ["10.60.0.2:8080"] },
    { name: "b", address: "10.99.0.2", backends: ["10.60.0.2:8080"] },
  ]);
  const first = engine.send({ ...CLIENT, dest: "10.99.0.1" });
  assert.equal(first.route, "10.50.0.2:5000 > 10.60.0.2:8080");
  const second = engine.send({ ...CLIENT, dest: "10.99.0.2" });
  const { source, sourcePort } = parsePacket(second.bytes);
  assert.equal(source, "10.50.0.2");
  assert.notEqual(sourcePort, 5000);
  assert.ok(sourcePort >= 1024);
  const answer = engine.send({
    ...BACKEND,
    dest: "10.50.0.2",
    port: sourcePort,
    flags: SYN | ACK,
    ack: 1,
  });
  assert.equal(answer.route, "10.99.0.2:80 > 10.50.0.2:5000");
});

for (
  const [port, low, high] of [[100, 1, 511], [700, 600, 1023], [1000, 600, 1023], [
    5001,
    1024,
    65535,
  ]]
) {
  Deno.test(`clients that clash on port ${port} get ports from ${low} to ${high}`, () => {
    const engine = bench({}, true);
    const ports = new Set<number>();
    for (let i = 0; i < 17; i++) {
      const sent = engine.send({ ...CLIENT, source: `10.50.1.${i + 1}`, sourcePort: port });
      ports.add(parsePacket(sent.bytes).sourcePort);
    }
    assert.equal(ports.size, 17);
    assert.ok(ports.delete(port));
    for (const chosen of ports) assert.ok(chosen >= low && chosen <= high, `${chosen}`);
  });
}

Deno.test("a configured range holds for every masqueraded connection, to the last port", () => {
  const engine = bench({ masqueradePorts: { first: 61000, last: 61009 } }, true);
  const ports = new Set<number>();
  for (let i = 0; i < 10; i++) {
    ports.add(parsePacket(engine.send({ ...CLIENT, sourcePort: 5000 + i }).bytes).sourcePort);
  }
  assert.deepEqual([...ports].sort(), Array.from({ length: 10 }, (_, i) => 61000 + i));
  assert.equal(engine.send({ ...CLIENT, sourcePort: 6000 }).verdict, "drop: no_free_port");
  assert.equal(engine.connections().length, 10);
});

Deno.test("a finished connection gives its port to a new one whose sequence is ahead", () => {
  const engine = bench({ masqueradePorts: { first: 61000, last: 61000 } }, true);
  engine.send({ ...CLIENT, seq: 1000 });
  const answer = { ...BACKEND, dest: "10.60.0.1", port: 61000 };
  engine.send({ ...answer, flags: SYN | ACK, seq: 1, ack: 1001 });
  engine.send({ ...CLIENT, flags: ACK, seq: 1001, ack: 2 });
  engine.send({ ...CLIENT, flags: ACK | 1, seq: 1001, ack: 2 });
  engine.send({ ...answer, flags: ACK | 1, seq: 2, ack: 1002 });
  engine.send({ ...CLIENT, flags: ACK, seq: 1002, ack: 3 });
  assert.equal(engine.connection().state, "TIME_WAIT");
  const behind = engine.send({ ...CLIENT, sourcePort: 5001, seq: 500 });
  assert.equal(behind.verdict, "drop: no_free_port");
  const ahead = engine.send({ ...CLIENT, sourcePort: 5001, seq: 5000 });
  assert.equal(ahead.route, "10.60.0.1:61000 > 10.60.0.2:8080");
  assert.equal(engine.connections().length, 1);
});

Deno.test("a question that was answered gives its port to another after two seconds", () => {
  const engine = new Bench(
    [{ protocol: "UDP", backends: ["10.60.0.2:8080"], masquerade: true }],
    { masqueradePorts: { first: 61000, last: 61000 } },
  );
  const ask = (sourcePort: number) => {
    const { verdict, route } = engine.send({ ...CLIENT, protocol: "UDP", sourcePort });
    return route === "" ? verdict : route;
  };
  const answer = () =>
    engine.send({ ...BACKEND, protocol: "UDP", dest: "10.60.0.1", port: 61000 }).route;
  const taken = "drop: no_free_port", given = "10.60.0.1:61000 > 10.60.0.2:8080";
  assert.equal(ask(5000), given);
  engine.nowMs += 2000;
  assert.equal(ask(5001), taken, "not answered yet");
  assert.equal(answer(), "10.99.9.9:80 > 10.50.0.2:5000");
  engine.nowMs += 1999;
  assert.equal(ask(5001), taken, "another answer may come");
  engine.nowMs += 1;
  assert.equal(ask(5001), given);
  assert.equal(answer(), "10.99.9.9:80 > 10.50.0.2:5001");
  assert.equal(engine.connections().length, 1);
  // Who goes on for two seconds has a stream, and keeps it.
  engine.nowMs += 2001;
  assert.equal(ask(5001), given);
  assert.equal(engine.connection().assured, true);
  engine.nowMs += 60_000;
  assert.equal(ask(5002), taken);
});

Deno.test("a packet to a masquerade port that no connection has is dropped", () => {
  const engine = bench({ masqueradePorts: { first: 61000, last: 61009 } }, true);
  const stray = { ...BACKEND, dest: "10.60.0.1", flags: ACK };
  assert.equal(engine.send({ ...stray, port: 61005 }).verdict, "drop: no_connection");
  assert.equal(engine.send({ ...stray, port: 60999 }).verdict, "pass: no_frontend");
});

Deno.test("a backend that reaches itself through the Service is masqueraded", () => {
  const engine = bench();
  const sent = engine.send({ ...CLIENT, source: "10.60.0.2" });
  assert.equal(sent.route, "10.60.0.1:5000 > 10.60.0.2:8080");
  const answer = engine.send({
    ...BACKEND,
    dest: "10.60.0.1",
    port: 5000,
    flags: SYN | ACK,
    ack: 1,
  });
  assert.equal(answer.route, "10.99.9.9:80 > 10.60.0.2:5000");
});

Deno.test("masqueradeAlways does so for everyone", () => {
  const engine = bench({ masqueradeAlways: true });
  assert.equal(engine.send(CLIENT).route, "10.60.0.1:5000 > 10.60.0.2:8080");
});

Deno.test("without an address to masquerade to, the connection is dropped", () => {
  const engine = bench({ masqueradeAddresses: { IPv6: "fd00::1" } }, true);
  assert.equal(engine.send(CLIENT).verdict, "drop: no_masquerade_address");
  assert.equal(engine.connections().length, 0);
});

Deno.test("a flow around the Service that would look like its answers is dropped", () => {
  const engine = bench();
  engine.send({ ...CLIENT, sourcePort: 6000 });
  const direct = { ...CLIENT, sourcePort: 6000, dest: "10.60.0.2", port: 8080 };
  assert.equal(engine.send(direct).verdict, "drop: clash");
  assert.equal(engine.send({ ...direct, sourcePort: 6001 }).verdict, "pass: no_frontend");
});

Deno.test("a UDP checksum of 0 stays 0; one that becomes 0 is sent as ffff", () => {
  const engine = new Bench([{ protocol: "UDP", backends: ["10.60.0.2:8080"] }]);
  const none = engine.send({ ...CLIENT, protocol: "UDP", noChecksum: true });
  assert.deepEqual([...parsePacket(none.bytes).transport.subarray(6, 8)], [0, 0]);
  let zeros = 0;
  for (let i = 0; i < 0x10000; i++) {
    const payload = Uint8Array.of(i >> 8, i & 0xff);
    const slot = engine.engine.slotBytes(0);
    const packet = buildPacket({ ...CLIENT, protocol: "UDP", payload });
    slot.set(packet);
    engine.engine.setLength(0, packet.length);
    engine.engine.process(0, 1, engine.nowMs);
    const field = slot.subarray(12 + 26, 12 + 28);
    assert.ok(field[0] !== 0 || field[1] !== 0);
    if (field[0] === 0xff && field[1] === 0xff) zeros++;
  }
  assert.equal(zeros, 1);
});

for (const masquerade of [false, true]) {
  const name = masquerade ? "masquerade" : "DNAT alone";
  Deno.test(`partial checksums and super-segments keep their header (${name})`, () => {
    const engine = new Bench([
      { name: "v4", backends: ["10.60.0.2:8080"], masquerade },
      { name: "v6", address: "fd00:99::9", backends: ["[fd00:244::5]:8080"], masquerade },
      { name: "u4", protocol: "UDP", backends: ["10.60.0.2:8080"], masquerade },
    ]);
    const clients = [
      { ...CLIENT, protocol: "TCP" as const },
      { ...CLIENT, protocol: "TCP" as const, source: "fd00:50::2", dest: "fd00:99::9" },
      { ...CLIENT, protocol: "UDP" as const },
    ];
    for (const client of clients) {
      const syn = engine.send({ ...client, partial: true });
      assert.equal(syn.verdict, "forward: new");
      const payload = crypto.getRandomValues(new Uint8Array(65400));
      const spec = { ...client, flags: ACK | PSH, seq: 1, payload, gsoSize: 1448 };
      engine.send({ ...spec, flags: SYN, seq: 0, payload: undefined });
      const sent = buildPacket(spec);
      // Answered, so that data may follow.
      const { source, sourcePort } = parsePacket(syn.bytes);
      const { dest, port } = parsePacket(syn.bytes);
      engine.send({
        source: dest,
        sourcePort: port,
        dest: source,
        port: sourcePort,
        protocol: client.protocol,
        flags: SYN | ACK,
        ack: 1,
      });
      const big = engine.sendBytes(sent);
      assert.equal(big.verdict, "forward: tracked");
      assert.deepEqual(big.bytes.subarray(0, 12), sent.subarray(0, 12));
      assert.equal(big.bytes.length, sent.length);
      assert.deepEqual(parsePacket(big.bytes).payload, payload);
    }
  });
}

Deno.test("only addresses, ports and checksums change", () => {
  const engine = bench({}, true);
  const sent = buildPacket({ ...CLIENT, options: Uint8Array.of(2, 4, 5, 0xb4), ttl: 17, id: 4711 });
  const got = engine.sendBytes(sent).bytes;
  const may = new Set([10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 36, 37]);
  ipOf(got).forEach((byte, i) => {
    if (!may.has(i)) assert.equal(byte, ipOf(sent)[i], `byte ${i}`);
  });
});

Deno.test("a connection never gets its own original tuple as reply tuple", () => {
  const nodePort = { kind: "NodePort", address: null, port: 8080 } as const;
  const engine = new Bench([{ backends: ["10.60.0.2:8080"], frontends: [nodePort] }]);
  const own = { source: "10.60.0.2", sourcePort: 8080, dest: "10.60.0.1", port: 8080 };
  const sent = parsePacket(engine.send(own).bytes);
  assert.deepEqual([sent.source, sent.dest, sent.port], ["10.60.0.1", "10.60.0.2", 8080]);
  assert.notEqual(sent.sourcePort, 8080);
  const answer = engine.send({ ...own, port: sent.sourcePort, flags: SYN | ACK, ack: 1 });
  assert.equal(answer.route, "10.60.0.1:8080 > 10.60.0.2:8080");
});
