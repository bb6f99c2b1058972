/** Fragmented datagrams follow their first fragment. */

import fc from "fast-check";
import assert from "node:assert/strict";
import { Bench } from "../engine/harness.ts";
import { buildIp, buildPacket, ipOf, parsePacket } from "../engine/packets.ts";

const FAMILIES = [
  { client: "10.50.0.2", service: "10.99.9.9", backend: "10.60.0.2", place: "10.60.0.2:53" },
  {
    client: "fd00:50::2",
    service: "fd00:99::9",
    backend: "fd00:244::5",
    place: "[fd00:244::5]:53",
  },
];

for (const { client, service, backend, place } of FAMILIES) {
  const spec = {
    source: client,
    sourcePort: 5000,
    dest: service,
    port: 53,
    protocol: "UDP" as const,
  };
  const open = () =>
    new Bench([{ protocol: "UDP", address: service, port: 53, backends: [place] }]);
  /** A datagram of 3000 bytes in three fragments. */
  const fragments = () => {
    const whole = buildPacket({ ...spec, payload: crypto.getRandomValues(new Uint8Array(2992)) });
    const datagram = parsePacket(whole).transport;
    return [[0, 1400], [1400, 2800], [2800, 3000]].map(([from, to]) =>
      buildIp(
        { source: client, dest: service, id: 77, moreFragments: to < 3000, fragmentOffset: from },
        17,
        datagram.slice(from, to),
      )
    );
  };
  /** Sends without looking at the transport checksum, which covers all fragments. */
  const send = (bench: Bench, packet: Uint8Array) => {
    bench.engine.slotBytes(0).set(packet);
    bench.engine.setLength(0, packet.length);
    bench.engine.process(0, 1, bench.nowMs);
    return bench.engine.slotBytes(0).slice(0, bench.engine.outputLength(0));
  };

  Deno.test(`${client}: later fragments go where the first went`, () => {
    const bench = open();
    const sent = fragments();
    const got = sent.map((fragment) => send(bench, fragment));
    const datagram = new Uint8Array(3000);
    got.forEach((fragment, i) => {
      const { source, dest, transport } = parsePacket(fragment);
      assert.deepEqual([source, dest], [client, backend]);
      datagram.set(transport, i * 1400);
    });
    // Reassembled, the whole datagram's checksum is right.
    const whole = buildIp({ source: client, dest: backend }, 17, datagram);
    const again = buildPacket({
      ...spec,
      dest: backend,
      payload: datagram.slice(8),
    });
    assert.deepEqual(ipOf(whole).subarray(-3000), ipOf(again).subarray(-3000));
  });

  Deno.test(`${client}: without the first, too late, or with another id they are dropped`, () => {
    const bench = open();
    const [first, second] = fragments();
    send(bench, second);
    send(bench, first);
    assert.notEqual(send(bench, second).length, 0);
    bench.nowMs += 2000;
    send(bench, second);
    assert.deepEqual(bench.dropped(), { fragment_unknown: 2 });
  });

  Deno.test(`${client}: malformed fragments are dropped`, () => {
    const bench = open();
    const fragment = (
      fragmentOffset: number,
      length: number,
      moreFragments: boolean,
      protocol = 17,
    ) =>
      send(
        bench,
        buildIp(
          { source: client, dest: service, id: 5, fragmentOffset, moreFragments },
          protocol,
          new Uint8Array(length),
        ),
      );
    fragment(0, 9, true);
    fragment(65528, 16, false);
    fragment(0, 16, true, 6);
    assert.deepEqual(bench.dropped(), { fragment_malformed: 3 });
  });
}

for (const { client, service, place } of FAMILIES) {
  /** Sends fragments of one datagram, [from, to) of `total` bytes; which of them went through. */
  const through = (total: number, ranges: readonly (readonly [number, number])[]) => {
    const bench = new Bench([{ protocol: "UDP", address: service, port: 53, backends: [place] }]);
    const whole = question(client, service, total - 8);
    const datagram = parsePacket(whole).transport;
    const went = ranges.map(([from, to]) => {
      const where = { id: 9, fragmentOffset: from, moreFragments: to < total };
      const fragment = buildIp(
        { source: client, dest: service, ...where },
        17,
        datagram.slice(from, to),
      );
      bench.engine.slotBytes(0).set(fragment);
      bench.engine.setLength(0, fragment.length);
      bench.engine.process(0, 1, bench.nowMs);
      return bench.engine.outputLength(0) > 0;
    });
    return { went, dropped: bench.dropped() };
  };

  Deno.test(`${client}: fragments in any order go through, each part once`, () => {
    const ranges = [[0, 80], [240, 320], [80, 160], [160, 240], [80, 160], [320, 400]] as const;
    const { went, dropped } = through(400, ranges);
    assert.deepEqual(went, [true, true, true, true, false, true]);
    assert.deepEqual(dropped, { fragment_overlap: 1 });
  });

  Deno.test(`${client}: an overlap ends the datagram`, () => {
    const ranges = [[0, 80], [72, 160], [80, 160], [160, 400]] as const;
    const { went, dropped } = through(400, ranges);
    assert.deepEqual(went, [true, false, false, false]);
    assert.deepEqual(dropped, { fragment_overlap: 3 });
  });

  Deno.test(`${client}: the first fragment again goes through, in IPv6 only as it was`, () => {
    const { went } = through(400, [[0, 80], [0, 80], [0, 88], [88, 400]]);
    assert.deepEqual(went, [true, true, client.includes("."), client.includes(".")]);
  });

  Deno.test(`${client}: a datagram in too many pieces is not followed`, () => {
    const odd = [1, 3, 5, 7, 9].map((i) => [i * 80, i * 80 + 80] as const);
    assert.deepEqual(through(4000, [[0, 40], ...odd]).went, [true, true, true, true, false, false]);
  });

  Deno.test(`${client}: whatever fragments come, what goes through does not overlap`, () => {
    const offset = fc.nat({ max: 12 }).map((n) => n * 8);
    const range = fc.tuple(offset, fc.integer({ min: 1, max: 6 }))
      .map(([from, size]) => [from + 8, from + 8 + size * 8] as const);
    fc.assert(
      fc.property(fc.array(range, { maxLength: 20 }), (ranges) => {
        const all = [[0, 8] as const, ...ranges];
        const { went } = through(1024, all);
        const seen = new Set<number>();
        all.filter((_, i) => went[i]).forEach(([from, to]) => {
          for (let at = from; at < to; at += 8) {
            assert.ok(!seen.has(at));
            seen.add(at);
          }
        });
      }),
      { numRuns: 60 },
    );
  });
}

Deno.test("a fragment that would overwrite TCP's flags is dropped", () => {
  const bench = new Bench([{ backends: ["10.60.0.2:53"] }]);
  const spec = { source: "10.50.0.2", dest: "10.99.9.9", id: 5, fragmentOffset: 8 };
  assert.equal(
    bench.sendBytes(buildIp(spec, 6, new Uint8Array(16))).verdict,
    "drop: fragment_malformed",
  );
});

Deno.test("IPv6: options behind the fragment header are the first fragment's alone", () => {
  const [, { client, service, backend, place }] = FAMILIES;
  const bench = new Bench([{ protocol: "UDP", address: service, port: 53, backends: [place] }]);
  const whole = question(client, service, 112);
  // Destination options, eight bytes of padding, then UDP: later fragments name the options too.
  const options = Uint8Array.of(17, 0, 1, 4, 0, 0, 0, 0);
  const datagram = Uint8Array.of(...options, ...parsePacket(whole).transport);
  const send = (id: number, from: number, to: number) => {
    const packet = buildIp(
      { source: client, dest: service, id, fragmentOffset: from, moreFragments: to < 128 },
      60,
      datagram.slice(from, to),
    );
    bench.engine.slotBytes(0).set(packet);
    bench.engine.setLength(0, packet.length);
    bench.engine.process(0, 1, bench.nowMs);
    const length = bench.engine.outputLength(0);
    return length === 0 ? null : parsePacket(bench.engine.slotBytes(0).slice(0, length)).dest;
  };
  assert.deepEqual([send(1, 0, 64), send(1, 64, 128)], [backend, backend]);
  assert.equal(send(2, 64, 128), null);
  assert.deepEqual(bench.dropped(), { fragment_unknown: 1 });
});

/** A client's datagram to port 53 of a Service, with so many bytes behind the header of UDP. */
function question(client: string, service: string, length: number): Uint8Array {
  return buildPacket({
    source: client,
    sourcePort: 5000,
    dest: service,
    port: 53,
    protocol: "UDP",
    payload: new Uint8Array(length),
  });
}
