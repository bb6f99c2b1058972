/** Connections through the engine: forwarding, balancing, affinity, node ports, both families. */

import assert from "node:assert/strict";
import { Bench } from "./harness.ts";
import { ACK, FIN, RST, SYN } from "./packets.ts";

const CLIENT = { source: "10.50.0.2", dest: "10.99.9.9", port: 80 };

Deno.test("a request goes to a backend and its answer comes from the Service", () => {
  const bench = new Bench([{ backends: ["10.60.0.2:8080"] }]);
  const request = bench.send({ ...CLIENT, sourcePort: 5000, seq: 100 });
  assert.equal(request.verdict, "forward: new");
  assert.equal(request.route, "10.50.0.2:5000 > 10.60.0.2:8080");
  const answer = bench.send({
    source: "10.60.0.2",
    sourcePort: 8080,
    dest: "10.50.0.2",
    port: 5000,
    flags: SYN | ACK,
    seq: 900,
    ack: 101,
  });
  assert.equal(answer.verdict, "forward: tracked");
  assert.equal(answer.route, "10.99.9.9:80 > 10.50.0.2:5000");
  assert.equal(bench.connection().state, "SYN_RECV");
});

Deno.test("masquerade keeps a free port", () => {
  const bench = new Bench([{ backends: ["10.60.0.2:8080"], masquerade: true }]);
  const request = bench.send({ ...CLIENT, sourcePort: 5000 });
  assert.equal(request.route, "10.60.0.1:5000 > 10.60.0.2:8080");
  const answer = bench.send({
    source: "10.60.0.2",
    sourcePort: 8080,
    dest: "10.60.0.1",
    port: 5000,
    flags: SYN | ACK,
    ack: 1,
  });
  assert.equal(answer.route, "10.99.9.9:80 > 10.50.0.2:5000");
});

Deno.test("round robin gives equal counts in the pool's order", () => {
  const backends = ["10.244.1.7:9376", "10.244.2.3:9376", "10.244.3.6:9376"];
  const bench = new Bench([{ backends }]);
  const routes = Array.from(
    { length: 9 },
    (_, i) => bench.send({ ...CLIENT, sourcePort: 40000 + i }).route.split(" > ")[1],
  );
  assert.deepEqual(routes, [...backends, ...backends, ...backends]);
  assert.deepEqual(
    bench.engine.counters().backends.map(({ connections, active }) => [connections, active]),
    [[3, 3], [3, 3], [3, 3]],
  );
});

Deno.test("UDP and IPv6 are forwarded alike", () => {
  const bench = new Bench([
    { protocol: "UDP", port: 53, backends: ["10.244.0.5:5353"], name: "dns" },
    {
      address: "fd00:99::9",
      port: 80,
      backends: ["[fd00:244::5]:8080"],
      name: "web6",
      masquerade: true,
    },
    {
      address: "fd00:99::9",
      protocol: "UDP",
      port: 53,
      backends: ["[fd00:244::5]:53"],
      name: "dns6",
    },
  ]);
  const dns = bench.send({
    ...CLIENT,
    port: 53,
    sourcePort: 999,
    protocol: "UDP",
    payload: new Uint8Array(33),
  });
  assert.equal(dns.route, "10.50.0.2:999 > 10.244.0.5:5353");
  const web6 = bench.send({ source: "fd00:50::2", sourcePort: 7000, dest: "fd00:99::9", port: 80 });
  assert.equal(web6.route, "fd00:60::1:7000 > fd00:244::5:8080");
  const answer6 = bench.send({
    source: "fd00:244::5",
    sourcePort: 8080,
    dest: "fd00:60::1",
    port: 7000,
    flags: SYN | ACK,
    ack: 1,
  });
  assert.equal(answer6.route, "fd00:99::9:80 > fd00:50::2:7000");
  const dns6 = bench.send({
    source: "fd00:50::2",
    sourcePort: 7000,
    dest: "fd00:99::9",
    port: 53,
    protocol: "UDP",
  });
  assert.equal(dns6.route, "fd00:50::2:7000 > fd00:244::5:53");
});

Deno.test("what is for no Service passes unchanged", () => {
  const bench = new Bench([{ backends: ["10.60.0.2:8080"] }]);
  const other = bench.send({ ...CLIENT, port: 81, sourcePort: 5000 });
  assert.equal(other.verdict, "pass: no_frontend");
  assert.equal(other.route, "10.50.0.2:5000 > 10.99.9.9:81");
});

Deno.test("a Service without endpoints answers with a reset", () => {
  const bench = new Bench([{ backends: [] }]);
  const answer = bench.send({ ...CLIENT, sourcePort: 5000, seq: 777 });
  assert.equal(answer.verdict, "reply: reset");
  assert.equal(answer.route, "10.99.9.9:80 > 10.50.0.2:5000");
  assert.equal(
    bench.send({ ...CLIENT, sourcePort: 5000, flags: RST }).verdict,
    "drop: reject_silent",
  );
  assert.equal(
    bench.send({ ...CLIENT, sourcePort: 5000, flags: FIN | ACK, ack: 999 }).verdict,
    "reply: reset",
  );
});
