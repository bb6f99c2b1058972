/** ICMP errors about connections: the four cases, as observed on a Linux kernel. */

import assert from "node:assert/strict";
import { Bench } from "../engine/harness.ts";
import { ACK, buildIcmpError, buildPacket, ipOf, parsePacket, SYN } from "../engine/packets.ts";

const ROUTER = "10.60.0.9";
const OUTSIDE = "10.50.0.9";
const CLIENT = { source: "10.50.0.2", sourcePort: 5000, dest: "10.99.9.9", port: 80 };

/** A bench with one answered connection; what the client and the backend sent, and how it arrived. */
function connected(masquerade: boolean) {
  const bench = new Bench([{ backends: ["10.60.0.2:8080"], masquerade }]);
  const request = buildPacket(CLIENT);
  const forwarded = bench.sendBytes(request).bytes;
  const { source, sourcePort } = parsePacket(forwarded);
  const answer = buildPacket({
    source: "10.60.0.2",
    sourcePort: 8080,
    dest: source,
    port: sourcePort,
    flags: SYN | ACK,
    seq: 9,
    ack: 1,
  });
  const returned = bench.sendBytes(answer).bytes;
  return { bench, request, forwarded, answer, returned };
}

/** Outer addresses and the quoted packet of an error. */
function read(bytes: Uint8Array) {
  const { source, dest, transport } = parsePacket(bytes);
  return {
    outer: `${source} > ${dest}`,
    type: [...transport.subarray(0, 2)],
    rest: transport.subarray(4, 8),
    quote: transport.subarray(8),
  };
}

Deno.test("IPv6: a quote may end anywhere in a first fragment", () => {
  const bench = new Bench([
    { address: "fd00:99::9", protocol: "UDP", backends: ["[fd00:244::5]:8080"], masquerade: true },
  ]);
  const request = buildPacket({
    source: "fd00:50::2",
    sourcePort: 5000,
    dest: "fd00:99::9",
    port: 80,
    protocol: "UDP",
    payload: new Uint8Array(120),
    moreFragments: true,
  });
  const forwarded = ipOf(bench.sendBytes(request).bytes);
  for (const quoted of [forwarded.length, 100, 61]) {
    const out = bench.sendBytes(
      buildIcmpError(
        { source: "fd00:60::9", dest: "fd00:60::1" },
        2,
        0,
        1400,
        forwarded.slice(0, quoted),
      ),
    );
    assert.equal(out.verdict, "forward: related", `${quoted} bytes`);
    assert.deepEqual(read(out.bytes).quote, ipOf(request).slice(0, quoted));
  }
});

for (const quoted of [28, 40]) {
  Deno.test(`masquerade, error about the request, ${quoted} bytes quoted`, () => {
    const { bench, request, forwarded } = connected(true);
    const quote = ipOf(forwarded).slice(0, quoted);
    const out = bench.sendBytes(
      buildIcmpError({ source: ROUTER, dest: "10.60.0.1" }, 3, 4, 1400, quote),
    );
    assert.equal(out.verdict, "forward: related");
    const error = read(out.bytes);
    assert.equal(error.outer, "10.99.9.9 > 10.50.0.2");
    assert.deepEqual(error.type, [3, 4]);
    assert.deepEqual([...error.rest], [0, 0, 0x05, 0x78]);
    assert.deepEqual(error.quote, ipOf(request).slice(0, quoted));
  });
}

Deno.test("masquerade, error about the answer", () => {
  const { bench, answer, returned } = connected(true);
  const quote = ipOf(returned).slice(0, 40);
  const out = bench.sendBytes(
    buildIcmpError({ source: OUTSIDE, dest: "10.99.9.9" }, 3, 4, 1300, quote),
  );
  const error = read(out.bytes);
  assert.equal(error.outer, "10.60.0.1 > 10.60.0.2");
  assert.deepEqual(error.quote, ipOf(answer).slice(0, 40));
});

Deno.test("DNAT alone, error about the request", () => {
  const { bench, request, forwarded } = connected(false);
  const quote = ipOf(forwarded).slice(0, 40);
  const out = bench.sendBytes(
    buildIcmpError({ source: ROUTER, dest: "10.50.0.2" }, 11, 0, 0, quote),
  );
  const error = read(out.bytes);
  assert.equal(error.outer, "10.99.9.9 > 10.50.0.2");
  assert.deepEqual(error.type, [11, 0]);
  assert.deepEqual(error.quote, ipOf(request).slice(0, 40));
});

Deno.test("DNAT alone, error about the answer: its source stays", () => {
  const { bench, answer, returned } = connected(false);
  const quote = ipOf(returned).slice(0, 40);
  const out = bench.sendBytes(
    buildIcmpError({ source: OUTSIDE, dest: "10.99.9.9" }, 3, 4, 1300, quote),
  );
  const error = read(out.bytes);
  assert.equal(error.outer, "10.50.0.9 > 10.60.0.2");
  assert.deepEqual(error.quote, ipOf(answer).slice(0, 40));
});

Deno.test("IPv6: packet too big about the request and the answer", () => {
  const bench = new Bench([
    { address: "fd00:99::9", backends: ["[fd00:244::5]:8080"], masquerade: true },
  ]);
  const request = buildPacket({
    source: "fd00:50::2",
    sourcePort: 5000,
    dest: "fd00:99::9",
    port: 80,
  });
  const forwarded = bench.sendBytes(request).bytes;
  const about = bench.sendBytes(
    buildIcmpError({ source: "fd00:60::9", dest: "fd00:60::1" }, 2, 0, 1400, ipOf(forwarded)),
  );
  assert.equal(about.verdict, "forward: related");
  const error = read(about.bytes);
  assert.equal(error.outer, "fd00:99::9 > fd00:50::2");
  assert.deepEqual(error.quote, ipOf(request));
});

Deno.test("UDP: quoted checksums are translated, also when there is none", () => {
  for (const noChecksum of [false, true]) {
    const bench = new Bench([{ protocol: "UDP", backends: ["10.60.0.2:8080"], masquerade: true }]);
    const request = buildPacket({
      ...CLIENT,
      protocol: "UDP",
      noChecksum,
      payload: new Uint8Array(5),
    });
    const forwarded = bench.sendBytes(request).bytes;
    const out = bench.sendBytes(
      buildIcmpError({ source: "10.60.0.2", dest: "10.60.0.1" }, 3, 3, 0, ipOf(forwarded)),
    );
    assert.deepEqual(read(out.bytes).quote, ipOf(request));
  }
});

Deno.test("an error leaves state and timeout alone", () => {
  const { bench, forwarded } = connected(true);
  bench.nowMs += 5000;
  const before = bench.connection();
  bench.sendBytes(buildIcmpError({ source: ROUTER, dest: "10.60.0.1" }, 3, 1, 0, ipOf(forwarded)));
  assert.deepEqual(bench.connection(), before);
});

Deno.test("errors that contradict their connection, lie or redirect are dropped", () => {
  const { bench, forwarded } = connected(true);
  const quote = ipOf(forwarded).slice(0, 28);
  const verdict = (packet: Uint8Array) => bench.sendBytes(packet).verdict;
  const to = { source: ROUTER, dest: "10.60.0.1" };
  assert.equal(
    verdict(buildIcmpError({ source: ROUTER, dest: "10.60.0.7" }, 3, 4, 1400, quote)),
    "drop: icmp_unrelated",
  );
  assert.equal(verdict(buildIcmpError(to, 5, 1, 0, quote)), "drop: icmp_unrelated");
  const broken = buildIcmpError(to, 3, 4, 1400, quote);
  broken[12 + 22] ^= 1;
  assert.equal(verdict(broken), "drop: icmp_malformed");
  assert.equal(verdict(buildIcmpError(to, 3, 4, 1400, quote.slice(0, 27))), "drop: icmp_malformed");
  const gone = quote.slice();
  gone[12 + 9] ^= 1;
  assert.equal(verdict(buildIcmpError(to, 3, 4, 1400, gone)), "pass: protocol");
});

Deno.test("an error about a Service's packet of no connection is dropped", () => {
  const bench = new Bench([{ backends: ["10.60.0.2:8080"] }]);
  const quote = ipOf(buildPacket({
    source: "10.99.9.9",
    sourcePort: 80,
    dest: "10.50.0.2",
    port: 4242,
    flags: ACK,
  }));
  const out = bench.sendBytes(
    buildIcmpError({ source: OUTSIDE, dest: "10.99.9.9" }, 3, 1, 0, quote),
  );
  assert.equal(out.verdict, "drop: icmp_unrelated");
});

Deno.test("pings pass", () => {
  const bench = new Bench([{ backends: ["10.60.0.2:8080"] }]);
  const ping = buildIcmpError(
    { source: "10.50.0.2", dest: "10.99.9.9" },
    8,
    0,
    0x00770001,
    new Uint8Array(56),
  );
  assert.equal(bench.sendBytes(ping).verdict, "pass: protocol");
});
