/** Refusals: resets and ICMP unreachable, with the fields that Linux gives them. */

import assert from "node:assert/strict";
import { Bench } from "../engine/harness.ts";
import { ACK, buildPacket, FIN, ipOf, parsePacket, RST, SYN } from "../engine/packets.ts";

const CLIENT = { source: "10.50.0.2", sourcePort: 6000, dest: "10.99.9.9", port: 80 };
const CLIENT6 = { source: "fd00:50::2", sourcePort: 6000, dest: "fd00:99::9", port: 80 };

const resets = [
  { name: "SYN", sent: { flags: SYN, seq: 777 }, reset: { flags: RST | ACK, seq: 0, ack: 778 } },
  { name: "ACK", sent: { flags: ACK, seq: 5, ack: 999 }, reset: { flags: RST, seq: 999, ack: 0 } },
  {
    name: "FIN+ACK with data",
    sent: { flags: FIN | ACK, seq: 5, ack: 999, payload: new Uint8Array(3) },
    reset: { flags: RST, seq: 999, ack: 0 },
  },
  {
    name: "SYN with data",
    sent: { flags: SYN, seq: 777, payload: new Uint8Array(3) },
    reset: { flags: RST | ACK, seq: 0, ack: 781 },
  },
];

for (const client of [CLIENT, CLIENT6]) {
  for (const { name, sent, reset } of resets) {
    Deno.test(`a ${name} from ${client.source} is answered with the right reset`, () => {
      const bench = new Bench([{ address: client.dest, backends: [] }]);
      const out = bench.send({ ...client, ...sent, partial: true });
      assert.equal(out.verdict, "reply: reset");
      const got = parsePacket(out.bytes);
      const { flags, seq, ack } = got;
      assert.deepEqual({ flags, seq, ack }, reset);
      assert.deepEqual(
        [got.source, got.sourcePort, got.dest, got.port],
        [client.dest, 80, client.source, 6000],
      );
      assert.deepEqual([got.ttl, got.tos, got.window, got.payload.length], [64, 0, 0, 0]);
      assert.equal(got.transport.length, 20);
      if (client === CLIENT) {
        assert.ok(got.dontFragment);
        assert.deepEqual([...ipOf(out.bytes).subarray(4, 6)], [0, 0]);
      }
      assert.deepEqual(out.bytes.subarray(0, 12), new Uint8Array(12));
    });
  }
}

Deno.test("a reset is not answered", () => {
  const bench = new Bench([{ backends: [] }]);
  assert.equal(bench.send({ ...CLIENT, flags: RST }).verdict, "drop: reject_silent");
});

for (const source of [CLIENT, CLIENT6]) {
  Deno.test(`what comes damaged from ${source.source} is not answered`, () => {
    const spoilt = (protocol: "TCP" | "UDP", sent: Uint8Array) => {
      const bench = new Bench([{ address: source.dest, protocol, backends: [] }]);
      sent[sent.length - 1] ^= 1;
      return bench.sendBytes(sent).verdict;
    };
    const payload = new Uint8Array(5);
    for (const protocol of ["TCP", "UDP"] as const) {
      const whole = { ...source, protocol, payload };
      const answered = protocol === "TCP" ? "reply: reset" : "reply: unreachable";
      assert.equal(spoilt(protocol, buildPacket(whole)), "drop: reject_silent");
      // The rest of the sum is elsewhere, or not there yet, or there is none.
      assert.equal(spoilt(protocol, buildPacket({ ...whole, partial: true })), answered);
      const first = { payload: new Uint8Array(64 - (protocol === "TCP" ? 20 : 8)) };
      assert.equal(
        spoilt(protocol, buildPacket({ ...whole, ...first, moreFragments: true })),
        answered,
      );
    }
    const unchecked = { ...source, protocol: "UDP", noChecksum: true, payload } as const;
    assert.equal(spoilt("UDP", buildPacket(unchecked)), "reply: unreachable");
  });
}

for (const size of [0, 100, 3000]) {
  Deno.test(`UDP with ${size} bytes is answered with port unreachable`, () => {
    const bench = new Bench([{ protocol: "UDP", backends: [] }]);
    const sent = buildPacket({ ...CLIENT, protocol: "UDP", payload: new Uint8Array(size).fill(7) });
    const out = bench.sendBytes(sent);
    assert.equal(out.verdict, "reply: unreachable");
    const got = parsePacket(out.bytes);
    assert.deepEqual([got.source, got.dest], ["10.99.9.9", "10.50.0.2"]);
    assert.deepEqual([got.protocol, got.tos, got.ttl, got.dontFragment], [1, 0xc0, 64, false]);
    assert.deepEqual([...got.transport.subarray(0, 2)], [3, 3]);
    const quote = got.transport.subarray(8);
    assert.deepEqual(quote, ipOf(sent).slice(0, Math.min(28 + size, 548)));
    assert.ok(ipOf(out.bytes).length <= 576);
  });
  Deno.test(`UDP over IPv6 with ${size} bytes is answered with port unreachable`, () => {
    const bench = new Bench([{ protocol: "UDP", address: "fd00:99::9", backends: [] }]);
    const sent = buildPacket({
      ...CLIENT6,
      protocol: "UDP",
      payload: new Uint8Array(size).fill(7),
    });
    const out = bench.sendBytes(sent);
    const got = parsePacket(out.bytes);
    assert.deepEqual([got.source, got.dest, got.protocol], ["fd00:99::9", "fd00:50::2", 58]);
    assert.deepEqual([...got.transport.subarray(0, 2)], [1, 4]);
    assert.deepEqual(got.transport.subarray(8), ipOf(sent).slice(0, Math.min(48 + size, 1232)));
    assert.ok(ipOf(out.bytes).length <= 1280);
  });
}

Deno.test("one receiver gets six errors at once, then one a second", () => {
  const bench = new Bench([{ protocol: "UDP", backends: [] }]);
  const send = () => bench.send({ ...CLIENT, protocol: "UDP" }).verdict;
  for (let i = 0; i < 6; i++) assert.equal(send(), "reply: unreachable");
  assert.equal(send(), "drop: reject_rate");
  bench.nowMs += 1000;
  assert.equal(send(), "reply: unreachable");
  assert.equal(send(), "drop: reject_rate");
});

Deno.test("all receivers together get fifty errors at once, then one a millisecond", () => {
  const bench = new Bench([{ protocol: "UDP", backends: [] }]);
  const send = (i: number) => {
    const source = `10.50.${i >> 8}.${i & 255}`;
    return bench.send({ ...CLIENT, source, protocol: "UDP" }).verdict;
  };
  const answered = Array.from({ length: 60 }, (_, i) => send(i + 1))
    .filter((verdict) => verdict === "reply: unreachable");
  assert.equal(answered.length, 50);
  bench.nowMs += 1;
  assert.equal(send(1000), "reply: unreachable");
  assert.equal(send(1001), "drop: reject_rate");
});

Deno.test("a frontend sends at most a thousand resets at once", () => {
  const bench = new Bench([{ backends: [] }]);
  for (let i = 0; i < 1000; i++) bench.send({ ...CLIENT, sourcePort: 1000 + i });
  assert.equal(bench.send(CLIENT).verdict, "drop: reject_rate");
  bench.nowMs += 1;
  assert.equal(bench.send(CLIENT).verdict, "reply: reset");
});

Deno.test("backends that all have weight 0 refuse", () => {
  const bench = new Bench([{ backends: ["10.60.0.2:8080*0"] }]);
  assert.equal(bench.send(CLIENT).verdict, "reply: reset");
});

Deno.test("policy Local without local endpoints, and sources out of range, are dropped silently", () => {
  const drop = { action: "drop" } as const;
  const bench = new Bench([
    { name: "local", backends: ["10.60.0.2:8080"], route: drop },
    {
      name: "ranges",
      backends: ["10.60.0.2:8080"],
      frontends: [{ address: "10.99.9.10", port: 80, sourceRanges: ["10.51.0.0/16", "fd00::/8"] }],
    },
  ]);
  assert.equal(bench.send(CLIENT).verdict, "drop: no_local_endpoint");
  const ranged = { ...CLIENT, dest: "10.99.9.10" };
  assert.equal(bench.send(ranged).verdict, "drop: source_range");
  assert.equal(bench.send({ ...ranged, source: "10.51.255.255" }).verdict, "forward: new");
});
