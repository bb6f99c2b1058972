/** Changes of the plan while connections live. */

import assert from "node:assert/strict";
import { Bench, NODE, service, type ServiceSpec } from "./harness.ts";
import { ACK, parsePacket, SYN } from "./packets.ts";

const BACKENDS = ["10.60.0.2:80", "10.60.0.3:80", "10.60.0.4:80"];
const CLIENT = { source: "10.50.0.2", sourcePort: 5000, dest: "10.99.9.9", port: 80 };

function establish(bench: Bench, spec = CLIENT): string {
  const sent = bench.send({ ...spec, seq: 1 });
  const { dest, port, source, sourcePort } = parsePacket(sent.bytes);
  const back = { source: dest, sourcePort: port, dest: source, port: sourcePort };
  bench.send({ ...back, flags: SYN | ACK, seq: 1, ack: 2 });
  bench.send({ ...spec, flags: ACK, seq: 2, ack: 2 });
  return sent.route;
}

function data(bench: Bench, spec = CLIENT): string {
  const payload = new Uint8Array(10);
  const out = bench.send({ ...spec, flags: ACK, seq: 2, ack: 2, payload });
  return out.route === "" ? out.verdict : out.route;
}

Deno.test("TCP connections outlive their backend, their Service and a new one in its place", () => {
  const bench = new Bench([{ backends: BACKENDS }]);
  const way = establish(bench);
  bench.update({ backends: BACKENDS.slice(1) });
  assert.equal(data(bench), way);
  bench.remove("web");
  assert.equal(data(bench), way);
  bench.update({ name: "other", backends: ["10.60.0.9:80"] });
  assert.equal(data(bench), way);
  assert.equal(bench.send({ ...CLIENT, sourcePort: 5001 }).route.split(" > ")[1], "10.60.0.9:80");
});

Deno.test("UDP entries go with their endpoint, in the same step", () => {
  const spec: ServiceSpec = { protocol: "UDP", backends: BACKENDS };
  const bench = new Bench([spec]);
  const send = (sourcePort: number) =>
    bench.send({ ...CLIENT, sourcePort, protocol: "UDP" }).route.split(" > ")[1];
  const before = [send(1), send(2), send(3)];
  assert.deepEqual(before, BACKENDS);
  bench.update({ ...spec, backends: BACKENDS.slice(1) });
  assert.equal(bench.connections().length, 2);
  assert.deepEqual([send(2), send(3)], [BACKENDS[1], BACKENDS[2]]);
  assert.equal(send(1), BACKENDS[1]);
  bench.remove("web");
  assert.equal(bench.connections().length, 0);
});

Deno.test("round robin goes on where it stood", () => {
  const next = (bench: Bench, n: number) =>
    Array.from(
      { length: n },
      () => bench.send({ ...CLIENT, sourcePort: port++ }).route.split(" > ")[1],
    );
  let port = 1;
  const bench = new Bench([{ backends: BACKENDS }]);
  assert.deepEqual(next(bench, 1), [BACKENDS[0]]);
  bench.update({ backends: ["10.60.0.1:80", ...BACKENDS] });
  assert.deepEqual(next(bench, 2), [BACKENDS[1], BACKENDS[2]]);
  bench.update({ backends: ["10.60.0.1:80", BACKENDS[1]] });
  assert.deepEqual(next(bench, 2), ["10.60.0.1:80", BACKENDS[1]]);
  bench.update({ backends: [BACKENDS[2]] });
  assert.deepEqual(next(bench, 2), [BACKENDS[2], BACKENDS[2]]);
});

Deno.test("a backend that comes back while it has connections keeps its counters", () => {
  const bench = new Bench([{ backends: BACKENDS }]);
  establish(bench);
  bench.update({ backends: BACKENDS.slice(1) });
  bench.update({ backends: BACKENDS });
  const counted = bench.engine.counters().backends.find(({ backend }) =>
    backend.address === "10.60.0.2"
  );
  assert.deepEqual([counted?.connections, counted?.active], [1, 1]);
});

Deno.test("a frontend passes from one Service to another in one step", () => {
  const bench = new Bench([{ name: "a", backends: [BACKENDS[0]] }]);
  bench.engine.apply({
    node: null,
    updated: [service({ name: "b", backends: [BACKENDS[1]] })],
    removed: ["default/a"],
  });
  assert.equal(bench.send(CLIENT).route.split(" > ")[1], BACKENDS[1]);
});

Deno.test("a node port is on the node's addresses, behind what has one for itself", () => {
  const nodePort = { kind: "NodePort", address: null, port: 30007 } as const;
  const bench = new Bench([
    { name: "np", backends: [BACKENDS[0]], frontends: [nodePort] },
    { name: "ext", address: "10.60.0.1", port: 30008, backends: [BACKENDS[1]] },
    { name: "np2", backends: [BACKENDS[2]], frontends: [{ ...nodePort, port: 30008 }] },
  ]);
  const to = (dest: string, port: number) => {
    const out = bench.send({ ...CLIENT, dest, port });
    return out.verdict === "forward: new" ? out.route.split(" > ")[1] : out.verdict;
  };
  assert.equal(to("10.60.0.1", 30007), BACKENDS[0]);
  assert.equal(to("10.60.0.77", 30007), "pass: no_frontend");
  assert.equal(to("10.60.0.1", 30008), BACKENDS[1]);
  bench.engine.apply({
    node: { ...NODE, nodePortAddresses: ["10.60.0.77"] },
    updated: [],
    removed: ["default/ext"],
  });
  assert.equal(to("10.60.0.77", 30007), BACKENDS[0]);
  assert.equal(to("10.60.0.77", 30008), BACKENDS[2]);
});

Deno.test("sources are classified by pod networks, then the node's addresses and loopback", () => {
  const bench = new Bench([{ backends: BACKENDS }]);
  const classOf = (source: string, dest: string) =>
    bench.engine.lookup([{ source, dest, port: 80, protocol: "TCP" }])[0].sourceClass;
  assert.equal(classOf("10.244.1.1", "10.99.9.9"), "pod");
  assert.equal(classOf("10.60.0.1", "10.99.9.9"), "node");
  assert.equal(classOf("127.0.0.1", "10.99.9.9"), "node");
  assert.equal(classOf("10.50.0.2", "10.99.9.9"), "outside");
  assert.equal(classOf("fd00:244::9", "fd00:99::9"), "pod");
  assert.equal(classOf("::1", "fd00:99::9"), "node");
  bench.engine.apply({ node: { ...NODE, podNetworks: ["::/0"] }, updated: [], removed: [] });
  assert.equal(classOf("10.50.0.2", "10.99.9.9"), "outside");
  assert.equal(classOf("2001:db8::1", "fd00:99::9"), "pod");
});

Deno.test("what doesn't fit is left out, the rest works", () => {
  const bench = new Bench([], { backends: 4, servicePorts: 3, frontends: 3 });
  const specs = Array.from({ length: 5 }, (_, i): ServiceSpec => ({
    name: `s${i}`,
    address: `10.99.1.${i}`,
    backends: BACKENDS.slice(0, 2),
  }));
  bench.update(...specs);
  const verdicts = specs.map(({ address }, i) =>
    bench.send({ ...CLIENT, sourcePort: i + 1, dest: address! }).verdict
  );
  assert.deepEqual(verdicts, [
    "forward: new",
    "forward: new",
    "reply: reset",
    "pass: no_frontend",
    "pass: no_frontend",
  ]);
  bench.remove("s0", "s1", "s2");
  // Backends make room when their last connection is over.
  bench.nowMs += 120_000;
  bench.engine.expire(bench.nowMs, 100);
  bench.update(...specs.slice(3));
  assert.equal(bench.send({ ...CLIENT, dest: "10.99.1.4" }).verdict, "forward: new");
});

Deno.test("ten thousand changes leave nothing behind", () => {
  const bench = new Bench([]);
  for (let i = 0; i < 10_000; i++) {
    const count = 1 + i % 7;
    bench.update({
      name: `s${i % 3}`,
      address: `10.99.1.${i % 3}`,
      backends: Array.from({ length: count }, (_, b) => `10.60.${i % 5}.${b + 1}:80`),
      frontends: [{
        address: `10.99.1.${i % 3}`,
        port: 80,
        sourceRanges: Array.from({ length: count }, (_, r) => `10.${50 + r}.0.0/16`),
      }],
    });
    if (i % 11 === 0) bench.remove(`s${i % 3}`);
  }
  bench.remove("s0", "s1", "s2");
  assert.equal(bench.engine.counters().backends.length, 0);
  const many = Array.from({ length: 500 }, (_, b) => `10.60.${b >> 8}.${b & 255}:80`);
  bench.update({ backends: many });
  assert.equal(bench.engine.lookup([{ ...CLIENT, protocol: "TCP" }])[0].backends.length, 500);
});
