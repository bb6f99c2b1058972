import assert from "node:assert/strict";
import fc from "fast-check";
import { parseNetwork } from "../../../src/net/address.ts";
import { deleteRequest, STATUS, type Tuple } from "../../../src/netlink/netfilter/conntrack.ts";
import { readConnection } from "../../../src/netlink/netfilter/conntrack_connection.ts";
import { kernelFilters } from "../../../src/netlink/netfilter/conntrack_filter.ts";
import { CONNECTION, CT_NEW } from "../../../src/netlink/netfilter/conntrack_formats.ts";
import { checkDamaged, recorded } from "../fixture.ts";

Deno.test("conntrack: recorded connections", () => {
  const connections = recorded("connections").map(readConnection);
  const tcp = connections.find((c) => c?.family === "IPv4" && c.original.protocol === 6);
  assert.deepEqual(tcp, {
    family: "IPv4",
    original: {
      source: "127.0.0.1",
      destination: "127.0.0.1",
      protocol: 6,
      sourcePort: tcp?.original.sourcePort,
      destinationPort: 8080,
    },
    reply: {
      source: "127.0.0.1",
      destination: "127.0.0.1",
      protocol: 6,
      sourcePort: 9000,
      destinationPort: tcp?.original.sourcePort,
    },
    zone: 0,
    id: tcp?.id,
    status: STATUS.seenReply | STATUS.assured | STATUS.confirmed | STATUS.destinationNat | 0x180,
    mark: 0,
    timeout: tcp?.timeout,
    tcpState: "ESTABLISHED",
    startedAtMs: null,
    counters: {
      original: { packets: 3n, bytes: 170n },
      reply: { packets: 2n, bytes: 112n },
    },
  });
  const ping = connections.find((c) => c?.original.protocol === 1);
  assert.deepEqual([ping?.original.icmp, ping?.reply.icmp, ping?.zone, ping?.mark], [
    { type: 8, code: 0, id: 77 },
    { type: 0, code: 0, id: 77 },
    3,
    0x4000,
  ]);
  const ping6 = connections.find((c) => c?.original.protocol === 58);
  assert.deepEqual([ping6?.original.source, ping6?.original.icmp], [
    "2001:db8::1",
    { type: 128, code: 0, id: 77 },
  ]);
  assert.equal(connections.length, 4);
});

const port = fc.nat(0xffff);
const tuple = (address: fc.Arbitrary<string>): fc.Arbitrary<Tuple> =>
  fc.oneof(
    fc.record({
      source: address,
      destination: address,
      protocol: fc.constantFrom(6, 17, 132),
      sourcePort: port,
      destinationPort: port,
    }),
    fc.record({
      source: address,
      destination: address,
      protocol: fc.constantFrom(1, 58),
      icmp: fc.record({ type: fc.nat(255), code: fc.nat(255), id: port }),
    }),
  );
const v4 = fc.ipV4();
const v6 = fc.ipV6().map((text) => parseNetwork(text)?.address ?? "::")
  .filter((text) => text.includes(":"));

Deno.test("conntrack: a deletion names the connection as the kernel does", () => {
  const id = fc.oneof(
    fc.record({ family: fc.constant("IPv4" as const), original: tuple(v4) }),
    fc.record({ family: fc.constant("IPv6" as const), original: tuple(v6) }),
  );
  fc.assert(
    fc.property(id, fc.nat(0xffff), fc.nat(0xffffffff), (connection, zone, number) => {
      const { payload } = deleteRequest({ ...connection, zone, id: number });
      const { attributes } = CONNECTION.decode(payload);
      // The answer is what it would be as an entry that has this tuple in both directions.
      const read = readConnection({
        type: CT_NEW,
        flags: 0,
        sequence: 0,
        port: 0,
        payload: CONNECTION.encode(CONNECTION.decode(payload).header, {
          ...attributes,
          reply: attributes.original,
        }),
      });
      assert.deepEqual(
        JSON.parse(JSON.stringify([read?.family, read?.original, read?.zone, read?.id])),
        JSON.parse(JSON.stringify([connection.family, connection.original, zone, number])),
      );
    }),
    { numRuns: 300 },
  );
});

Deno.test("conntrack: the kernel is asked only for what it filters right", () => {
  const decode = (payloads: readonly Uint8Array[]) =>
    payloads.map((payload) => {
      const { header, attributes } = CONNECTION.decode(payload);
      return [header.family, attributes.filter, attributes.original?.ip] as const;
    });
  const plain = (value: unknown) => JSON.parse(JSON.stringify(value));
  assert.deepEqual(
    plain(decode(kernelFilters({ protocol: 17, original: { destination: "192.0.2.1" } }))),
    [[2, { original: 0x0a, reply: 0x08 }, { destination4: "192.0.2.1" }]],
  );
  // IPv6 addresses would select all others.
  assert.deepEqual(
    plain(decode(kernelFilters({ protocol: 17, original: { destination: "2001:db8::1" } }))),
    [[10, { original: 0x08, reply: 0x08 }, null]],
  );
  // Ports mean nothing without the protocol.
  assert.deepEqual(plain(decode(kernelFilters({ original: { sourcePort: 1 } }))), [[
    0,
    null,
    null,
  ]]);
  assert.deepEqual(decode(kernelFilters({ protocol: 6 })).map(([family]) => family), [2, 10]);
  assert.deepEqual(kernelFilters({ family: "IPv6", reply: { source: "192.0.2.1" } }), []);
});

Deno.test("conntrack: messages with any bytes are read or refused", () => {
  checkDamaged(recorded("connections"), (message) => readConnection({ ...message, type: CT_NEW }));
});
