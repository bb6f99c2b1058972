import assert from "node:assert/strict";
import fc from "fast-check";
import { Engine } from "../../src/engine/engine.ts";
import { Replay } from "../../src/replay/replay.ts";
import { endpointNames } from "../../src/replay/unmatched.ts";
import { writePcap, writePcapng } from "../capture/writer.ts";
import { plannerOf } from "../dataplane/iptables/plans.ts";
import { web } from "../api/real_state.ts";
import { captureOf, frame, type Sent } from "./captures.ts";
import type { ReplayReport } from "../../src/replay/report.ts";

const { plan } = plannerOf(web());

function replay(file: Uint8Array, seed = 1n): ReplayReport {
  const engine = Engine.create({ seed, slots: 1, connections: 4096, backends: 4096 });
  engine.apply({ node: plan.node, updated: [...plan.services.values()], removed: [] });
  return new Replay(engine, endpointNames(plan.services)).run(file, {
    limit: 10_000,
    maxMs: 60_000,
  });
}

/** Packets that the report accounts for. */
function accounted({ connections, unmatchedTotal, skipped }: ReplayReport): number {
  const ofConnections = connections.reduce(
    (sum, { original, replies }) => sum + original.packets + replies.packets,
    0,
  );
  const left = Object.values(skipped).reduce((sum, times) => sum + times, 0);
  return ofConnections + unmatchedTotal.packets + left;
}

/** Packets between a few ends, so that they meet, in any order, with any flags. */
const sent: fc.Arbitrary<Sent> = fc.record({
  source: fc.constantFrom("203.0.113.9", "10.0.1.175", "10.180.0.2", "192.168.50.10"),
  sourcePort: fc.constantFrom(80, 8080, 40_000, 30080),
  dest: fc.constantFrom("10.0.1.175", "203.0.113.9", "198.51.100.8", "192.168.50.10", "10.180.0.2"),
  port: fc.constantFrom(80, 8080, 40_000, 30080),
  protocol: fc.constantFrom("TCP" as const, "TCP" as const, "UDP" as const),
  flags: fc.nat({ max: 63 }),
  seq: fc.nat(),
  ack: fc.nat(),
  atMs: fc.nat({ max: 400_000 }),
}).filter(({ source, dest }) => source !== dest);

Deno.test("every packet of any conversation is accounted for, the same each time", () => {
  fc.assert(
    fc.property(fc.array(sent, { maxLength: 60 }), (packets) => {
      const file = captureOf(...packets);
      const report = replay(file);
      assert.equal(report.packets, packets.length);
      assert.equal(accounted(report), packets.length);
      assert.deepEqual(replay(file), report);
      for (const { verdict, backend, service } of report.connections) {
        assert.equal(backend !== null, verdict === "FORWARD");
        assert.notEqual(service, null);
      }
      const given = report.backends.reduce((sum, { connections }) => sum + connections, 0);
      assert.equal(given, report.connections.filter(({ backend }) => backend !== null).length);
    }),
    { numRuns: 150 },
  );
});

Deno.test("frames of any bytes, cut or damaged, are replayed or left out", () => {
  const linkType = fc.constantFrom(0, 1, 101, 113, 276);
  const damaged = fc.tuple(
    sent,
    fc.array(fc.tuple(fc.nat(), fc.nat({ max: 255 })), { maxLength: 4 }),
  )
    .map(([packet, changes]) => {
      const { data } = frame(packet);
      for (const [at, value] of changes) data[at % data.length] = value;
      return data;
    });
  const bytes = fc.oneof(damaged, fc.uint8Array({ maxLength: 80 }));
  const frames = fc.array(fc.tuple(bytes, fc.nat({ max: 100 })), { maxLength: 20 });
  fc.assert(
    fc.property(frames, linkType, fc.nat({ max: 3000 }), (list, linkType, more) => {
      const packets = list.map(([data, cut]) => ({
        data: data.subarray(0, Math.max(0, data.length - cut % 60)),
        timeNs: 0n,
        originalLength: data.length + more,
      }));
      const report = replay(writePcap(packets, { linkType }));
      assert.equal(report.packets, packets.length);
      assert.equal(replay(writePcapng(packets, { linkTypes: [linkType] })).packets, packets.length);
      assert.ok(accounted(report) <= packets.length);
    }),
    { numRuns: 200 },
  );
});

Deno.test("times that go back, or are none, hold up nothing", () => {
  const packet: Sent = { source: "203.0.113.9", sourcePort: 4000, dest: "10.0.1.175", port: 80 };
  const late = frame({ ...packet, atMs: 5000 });
  const early = frame({ ...packet, sourcePort: 4001, atMs: 0 });
  const { durationMs, connections } = replay(writePcap([late, early]));
  assert.deepEqual([durationMs, connections.length], [0, 2]);
  const none = replay(writePcapng([late, early], { simple: true }));
  assert.deepEqual([none.startedAt, none.durationMs, none.connections[0].startedAt], [
    null,
    null,
    null,
  ]);
  const far = { ...late, timeNs: 2n ** 80n };
  assert.equal(replay(writePcapng([far], { resolution: 0 })).connections.length, 1);
});
