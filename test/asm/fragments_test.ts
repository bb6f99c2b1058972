/** Fragmented datagrams follow their first fragment. */

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

Deno.test("a fragment that would overwrite TCP's flags is dropped", () => {
  const bench = new Bench([{ backends: ["10.60.0.2:53"] }]);
  const spec = { source: "10.50.0.2", dest: "10.99.9.9", id: 5, fragmentOffset: 8 };
  assert.equal(
    bench.sendBytes(buildIp(spec, 6, new Uint8Array(16))).verdict,
    "drop: fragment_malformed",
  );
});
