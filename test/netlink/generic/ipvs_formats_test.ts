import assert from "node:assert/strict";
import fc from "fast-check";
import { parseNetwork } from "../../../src/net/address.ts";
import { readFamily } from "../../../src/netlink/generic/family.ts";
import {
  changeRequest,
  readInfo,
  readListedServer,
  type RealServer,
  type VirtualServer,
} from "../../../src/netlink/generic/ipvs.ts";
import { COMMAND, IPVS } from "../../../src/netlink/generic/ipvs_formats.ts";
import {
  readRealServer,
  readServer,
  realServerAttributes,
  realServerIdAttributes,
  serverAttributes,
  serverIdAttributes,
} from "../../../src/netlink/generic/ipvs_server.ts";
import { type Message, NLMSG_ERROR, parseAck } from "../../../src/netlink/message.ts";
import { checkDamaged, recorded } from "../fixture.ts";

const FAMILY = { name: "IPVS", id: 0x25, version: 1 };

function reals(messages: readonly Message[]) {
  return messages.map(({ payload }) =>
    readRealServer(IPVS.decode(payload).attributes.destination ?? {}, "IPv4")
  );
}

Deno.test("ipvs: recorded virtual servers", () => {
  const servers = recorded("virtual-servers").map(readListedServer);
  const plain = { schedulerFlags: 0, onePacket: false, persistence: null, engine: null };
  const found = servers.map(({ statistics: _, ...server }) => server);
  assert.equal(found.length, 4);
  for (
    const server of [
      {
        ...plain,
        address: "10.96.0.1",
        port: 443,
        protocol: 6,
        scheduler: "wrr",
        persistence: { timeout: 10800, prefix: 24 },
      },
      {
        ...plain,
        address: "2001:db8::1",
        port: 53,
        protocol: 17,
        scheduler: "sh",
        schedulerFlags: 0x18,
        onePacket: true,
      },
      {
        ...plain,
        address: "2001:db8::2",
        port: 53,
        protocol: 6,
        scheduler: "rr",
        persistence: { timeout: 60, prefix: 64 },
      },
      { ...plain, mark: 7, family: "IPv4", scheduler: "mh" },
    ]
  ) assert(found.some((one) => isEqual(one, server)), JSON.stringify(server));
  const tcp = servers.find((server) => !("mark" in server) && server.address === "10.96.0.1");
  assert.equal(tcp?.statistics.connections, 1n);
  assert((tcp?.statistics.inPackets ?? 0n) >= 2n);
});

function isEqual(a: unknown, b: unknown): boolean {
  try {
    assert.deepEqual(a, b);
    return true;
  } catch {
    return false;
  }
}

Deno.test("ipvs: recorded real servers", () => {
  const found = reals(recorded("real-servers"));
  const none = { activeConnections: 0, inactiveConnections: 0, persistentConnections: 0 };
  const free = { upperThreshold: 0, lowerThreshold: 0 };
  assert.deepEqual(found.map(({ statistics: _, ...real }) => real), [
    { ...none, ...free, address: "192.0.2.2", port: 443, method: "direct", weight: 0 },
    {
      ...none,
      ...free,
      address: "192.0.2.1",
      port: 443,
      method: "tunnel",
      weight: 0,
      tunnel: { type: "gue", port: 6080, flags: 1 },
    },
    {
      address: "127.0.0.1",
      port: 6443,
      method: "masquerade",
      weight: 100,
      upperThreshold: 50,
      lowerThreshold: 20,
      activeConnections: 1,
      inactiveConnections: 0,
      persistentConnections: 1,
    },
  ]);
  assert.equal(found[2].statistics.connections, 1n);
});

Deno.test("ipvs: recorded time-outs, version and refusal", () => {
  const answer = (name: string) =>
    recorded(name).filter((message) => message.type !== NLMSG_ERROR)[0].payload;
  const { tcpTimeout, tcpFinTimeout, udpTimeout } = IPVS.decode(answer("ipvs-timeouts")).attributes;
  assert.deepEqual([tcpTimeout, tcpFinTimeout, udpTimeout], [900, 120, 300]);
  assert.deepEqual(readInfo(answer("ipvs-info")), { version: "1.2.1", connectionTableSize: 4096 });
  const request = changeRequest(FAMILY, {
    verb: "remove",
    server: { address: "10.96.0.1", port: 1, protocol: 6 },
  });
  assert.equal(
    parseAck(recorded("refused-server")[0], request)?.message,
    "remove the virtual server TCP 10.96.0.1:1: ESRCH",
  );
  assert.equal(readFamily(recorded("generic-family")[0].payload).name, "nlctrl");
});

const port = fc.nat(0xffff);
const v4 = fc.ipV4();
const v6 = fc.ipV6().map((text) => parseNetwork(text)?.address ?? "::")
  .filter((text) => text.includes(":"));
const byFamily = (address: fc.Arbitrary<string>, bits: number): fc.Arbitrary<VirtualServer> =>
  fc.tuple(
    fc.oneof(
      fc.record({ address, port, protocol: fc.constantFrom(6, 17, 132) }),
      fc.record({
        mark: fc.integer({ min: 1, max: 0xffffffff }),
        family: fc.constant(bits === 32 ? "IPv4" as const : "IPv6" as const),
      }),
    ),
    fc.record({
      scheduler: fc.constantFrom("rr", "lblcr", "mh"),
      schedulerFlags: fc.constantFrom(0, 8, 0x10, 0x38),
      onePacket: fc.boolean(),
      persistence: fc.option(
        fc.record(
          { timeout: fc.nat(0xffffff), prefix: fc.integer({ min: 1, max: bits }) },
          { noNullPrototype: true },
        ),
      ),
      engine: fc.constantFrom(null, "sip"),
    }),
  ).map(([id, scheduling]) => ({ ...id, ...scheduling }));

Deno.test("ipvs: virtual servers written are read back", () => {
  fc.assert(
    fc.property(fc.oneof(byFamily(v4, 32), byFamily(v6, 128)), (server) => {
      const { payload } = changeRequest(FAMILY, { verb: "add", server });
      const { header, attributes } = IPVS.decode(payload);
      assert.deepEqual(header, { command: COMMAND.newService, version: 1, reserved: 0 });
      const { statistics: _, ...read } = readServer(attributes.service ?? {});
      assert.deepEqual(read, { ...server });
      const { scheduler, ...id } = serverAttributes(server);
      assert.equal(scheduler, server.scheduler);
      assert.equal(id.family, serverIdAttributes(server).family);
    }),
    { numRuns: 500 },
  );
});

const realServer: fc.Arbitrary<Required<Omit<RealServer, "tunnel">>> = fc.record({
  address: fc.oneof(v4, v6),
  port,
  method: fc.constantFrom("masquerade" as const, "direct" as const, "local" as const),
  weight: fc.nat(0x7fffffff),
  upperThreshold: fc.nat(0x7fffffff),
  lowerThreshold: fc.nat(0x7fffffff),
});

Deno.test("ipvs: real servers written are read back, whatever the family of the virtual one", () => {
  fc.assert(
    fc.property(realServer, fc.constantFrom("IPv4" as const, "IPv6" as const), (real, family) => {
      const {
        activeConnections,
        inactiveConnections,
        persistentConnections,
        statistics,
        ...read
      } = readRealServer(realServerAttributes(real), family);
      assert.deepEqual(read, { ...real });
      assert.deepEqual([activeConnections, inactiveConnections, persistentConnections], [0, 0, 0]);
      assert.equal(statistics.connections, 0n);
      const { address, port } = realServerIdAttributes(real);
      assert.deepEqual([address?.length, port], [16, real.port]);
    }),
    { numRuns: 300 },
  );
});

Deno.test("ipvs: the bytes of a request are those that the kernel takes", () => {
  const server = { address: "10.96.0.1", port: 443, protocol: 6 };
  const { type, payload } = changeRequest(FAMILY, {
    verb: "update",
    server: {
      ...server,
      scheduler: "sh",
      schedulerFlags: 0x10,
      persistence: { timeout: 60, prefix: 20 },
    },
  });
  assert.equal(type, 0x25);
  assert.equal(
    payload.toHex(),
    "02010000" + "54000180" +
      "0600010002000000" + "0600020006000000" +
      "140003000a600001" + "00".repeat(12) +
      "0600040001bb0000" + "0700060073680000" +
      "0c00070011000000ffffffff" + "080008003c000000" + "08000900fffff000",
  );
});

Deno.test("ipvs: flags that no scheduler has are refused", () => {
  const server = { address: "10.96.0.1", port: 443, protocol: 6, scheduler: "rr" };
  assert.throws(() => serverAttributes({ ...server, schedulerFlags: 1 }), RangeError);
});

Deno.test("ipvs: messages with any bytes are read or refused", () => {
  checkDamaged(
    ["virtual-servers", "real-servers", "ipvs-info", "generic-family"].flatMap(recorded),
    readListedServer,
    (message) => reals([message]),
    ({ payload }) => readInfo(payload),
    ({ payload }) => readFamily(payload),
  );
});
