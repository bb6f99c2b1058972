/**
 * IPVS by netlink against a kernel that has it; ipvs_netlink_test.ts runs this in a virtual machine.
 *
 * @module
 */

import assert from "node:assert/strict";
import { readSysctl } from "../../src/linux/sysctl.ts";
import { NetworkNamespace } from "../../src/linux/namespace.ts";
import { findFamily } from "../../src/netlink/generic/family.ts";
import {
  Ipvs,
  type IpvsChange,
  type RealServer,
  SCHEDULER_FLAGS,
  type Scheduling,
  serverText,
  type VirtualServer,
} from "../../src/netlink/generic/ipvs.ts";
import { NO_STATISTICS } from "../../src/netlink/generic/ipvs_server.ts";
import { Rtnetlink } from "../../src/netlink/route/rtnetlink.ts";
import { NETLINK_GENERIC, NetlinkSocket } from "../../src/netlink/socket.ts";
import { until } from "../until.ts";

/** A new namespace with lo up: without a routing table, no IPv4 address can be a real server. */
function newNamespace(): NetworkNamespace {
  const namespace = NetworkNamespace.create();
  using net = namespace.run(() => Rtnetlink.open());
  net.links.setUp("lo");
  return namespace;
}

/** The virtual servers of a new namespace. */
function isolated(): Ipvs {
  using namespace = newNamespace();
  return namespace.run(() => Ipvs.open());
}

const TCP = { address: "10.96.0.1", port: 443, protocol: 6 } as const;
const PLAIN: Required<Omit<Scheduling, "scheduler">> = {
  schedulerFlags: 0,
  onePacket: false,
  persistence: null,
  engine: null,
};
const SCHEDULERS = "rr wrr lc wlc lblc lblcr dh sh sed nq fo ovf mh".split(" ");

const SERVERS: readonly VirtualServer[] = [
  { ...TCP, scheduler: "rr" },
  { ...TCP, protocol: 17, scheduler: "wrr", onePacket: true },
  { ...TCP, protocol: 132, scheduler: "lc" },
  { ...TCP, address: "10.96.0.2", scheduler: "rr", persistence: { timeout: 10800, prefix: 32 } },
  { ...TCP, address: "10.96.0.3", scheduler: "rr", persistence: { timeout: 60, prefix: 24 } },
  {
    ...TCP,
    address: "10.96.0.4",
    port: 0,
    scheduler: "rr",
    persistence: { timeout: 1, prefix: 1 },
  },
  { address: "2001:db8::1", port: 80, protocol: 6, scheduler: "wlc" },
  {
    address: "2001:db8::2",
    port: 80,
    protocol: 17,
    scheduler: "rr",
    persistence: { timeout: 300, prefix: 64 },
  },
  {
    address: "10.96.0.5",
    port: 5060,
    protocol: 17,
    scheduler: "rr",
    persistence: { timeout: 300, prefix: 32 },
    engine: "sip",
  },
  { mark: 1, family: "IPv4", scheduler: "rr" },
  {
    mark: 0xffffffff,
    family: "IPv6",
    scheduler: "mh",
    schedulerFlags: SCHEDULER_FLAGS["mh-port"] | SCHEDULER_FLAGS["mh-fallback"],
  },
  ...SCHEDULERS.map((scheduler, i) => ({ ...TCP, port: 1000 + i, scheduler })),
  ...[SCHEDULER_FLAGS["sh-port"], SCHEDULER_FLAGS["sh-fallback"]].map((schedulerFlags, i) => ({
    ...TCP,
    port: 2000 + i,
    scheduler: "sh",
    schedulerFlags,
  })),
];

Deno.test("ipvs: every kind of virtual server is read back as it was made", () => {
  using ipvs = isolated();
  const results = ipvs.apply(SERVERS.map((server) => ({ verb: "add", server })));
  assert.deepEqual(results.filter((result) => result !== null), []);
  const expected = SERVERS.map((server) => ({ ...PLAIN, ...server, statistics: NO_STATISTICS }));
  const byText = (a: VirtualServer, b: VirtualServer) => serverText(a) < serverText(b) ? -1 : 1;
  assert.deepEqual([...ipvs.list()].sort(byText), [...expected].sort(byText));
  for (const server of expected) assert.deepEqual(ipvs.get(server), server);
  assert.equal(ipvs.get({ ...TCP, port: 1 }), null);
});

Deno.test("ipvs: a virtual server changes its scheduler, flags and persistence", () => {
  using ipvs = isolated();
  ipvs.change({ verb: "add", server: { ...TCP, scheduler: "sh", schedulerFlags: 0x18 } });
  for (
    const scheduling of [
      { scheduler: "wrr", persistence: { timeout: 7, prefix: 16 } },
      { scheduler: "mh", schedulerFlags: SCHEDULER_FLAGS["mh-port"] },
      { scheduler: "rr" },
    ]
  ) {
    ipvs.change({ verb: "update", server: { ...TCP, ...scheduling } });
    assert.deepEqual(ipvs.get(TCP), { ...TCP, ...PLAIN, ...scheduling, statistics: NO_STATISTICS });
  }
  ipvs.change({ verb: "remove", server: TCP });
  assert.deepEqual(ipvs.list(), []);
});

Deno.test("ipvs: real servers are listed as they were made, the last one first", () => {
  using ipvs = isolated();
  const six = { address: "2001:db8::1", port: 80, protocol: 6 } as const;
  const plain = { method: "masquerade", upperThreshold: 0, lowerThreshold: 0 } as const;
  const reals: Required<Omit<RealServer, "tunnel">>[] = [
    { ...plain, address: "10.244.0.5", port: 6443, weight: 1 },
    { ...plain, address: "10.244.0.6", port: 6443, weight: 0 },
    { ...plain, address: "10.244.0.6", port: 6444, weight: 0x7fffffff },
    { ...plain, address: "10.244.0.7", port: 443, weight: 3, method: "direct" },
    { ...plain, address: "10.244.0.8", port: 443, weight: 5, upperThreshold: 9, lowerThreshold: 4 },
  ];
  const tunnels: RealServer[] = [
    { ...plain, address: "10.1.0.1", port: 443, weight: 1, tunnel: { type: "ipip" } },
    { ...plain, address: "10.1.0.2", port: 443, weight: 1, tunnel: { type: "gue", port: 6080 } },
    { ...plain, address: "10.1.0.3", port: 443, weight: 1, tunnel: { type: "gre", flags: 1 } },
  ].map((real) => ({
    ...real,
    method: "tunnel" as const,
    tunnel: { port: 0, flags: 0, ...real.tunnel } as RealServer["tunnel"],
  }));
  ipvs.change({ verb: "add", server: { ...TCP, scheduler: "rr" } });
  ipvs.change({ verb: "add", server: { ...six, scheduler: "rr" } });
  const added: RealServer[] = [...reals, ...tunnels];
  const results = ipvs.apply(added.map((real) => ({ verb: "add", server: TCP, real })));
  assert.deepEqual(results.filter((result) => result !== null), []);
  const fresh = {
    activeConnections: 0,
    inactiveConnections: 0,
    persistentConnections: 0,
    statistics: NO_STATISTICS,
  };
  assert.deepEqual(ipvs.reals(TCP), added.map((real) => ({ ...real, ...fresh })).reverse());
  assert.deepEqual(ipvs.reals(six), []);
  const pod = { ...plain, address: "2001:db8:1::5", port: 8080, weight: 1 } as const;
  ipvs.change({ verb: "add", server: six, real: pod });
  assert.deepEqual(ipvs.reals(six), [{ ...pod, ...fresh }]);

  // A change keeps the place in the list; only removing and adding does not.
  const drained = { ...reals[0], weight: 0 };
  ipvs.change({ verb: "update", server: TCP, real: drained });
  ipvs.change({ verb: "remove", server: TCP, real: reals[3] });
  assert.deepEqual(
    ipvs.reals(TCP).map(({ address, port, weight }) => [address, port, weight]),
    added.map(({ address, port, weight }, i) => [address, port, i === 0 ? 0 : weight])
      .filter((_, i) => i !== 3).reverse(),
  );
});

Deno.test("ipvs: refusals say what was refused and why", () => {
  using ipvs = isolated();
  const real = { address: "10.244.0.5", port: 80, weight: 1 };
  const absent = { ...TCP, port: 1 };
  const changes: readonly (readonly [IpvsChange, string | null])[] = [
    [{ verb: "add", server: { ...TCP, scheduler: "rr" } }, null],
    [{ verb: "add", server: { ...TCP, scheduler: "rr" } }, "EEXIST"],
    [{ verb: "add", server: { ...absent, scheduler: "none-such" } }, "ENOENT"],
    [{ verb: "update", server: { ...absent, scheduler: "rr" } }, "ESRCH"],
    [{ verb: "remove", server: absent }, "ESRCH"],
    [{ verb: "add", server: absent, real }, "ESRCH"],
    [{ verb: "add", server: TCP, real }, null],
    [{ verb: "add", server: TCP, real }, "EEXIST"],
    [{ verb: "update", server: TCP, real: { ...real, port: 81 } }, "ENOENT"],
    [{ verb: "remove", server: TCP, real: { ...real, port: 81 } }, "ENOENT"],
    [{ verb: "update", server: TCP, real: { ...real, weight: 0x80000000 } }, "ERANGE"],
    [
      { verb: "update", server: TCP, real: { ...real, upperThreshold: 1, lowerThreshold: 2 } },
      "ERANGE",
    ],
    [{ verb: "add", server: TCP, real: { ...real, address: "224.0.0.1" } }, "EINVAL"],
    [{ verb: "add", server: TCP, real: { ...real, address: "2001:db8::5" } }, "EINVAL"],
    [{ verb: "update", server: TCP, real: { ...real, weight: 7 } }, null],
  ];
  const results = ipvs.apply(changes.map(([change]) => change));
  assert.deepEqual(
    results.map((result) => result?.code ?? null),
    changes.map(([, code]) => code),
  );
  assert.equal(
    results[7]?.message,
    "add the real server 10.244.0.5:80 of TCP 10.96.0.1:443: EEXIST",
  );
  assert.equal(
    results[3]?.message,
    "update the virtual server TCP 10.96.0.1:1: ESRCH",
  );
  assert.deepEqual(ipvs.reals(TCP).map(({ weight }) => weight), [7]);
  assert.deepEqual(ipvs.reals(absent), []);
});

Deno.test("ipvs: many virtual servers at once", () => {
  using ipvs = isolated();
  const servers = Array.from({ length: 1500 }, (_, i): VirtualServer => ({
    address: `10.97.${i >> 8}.${i & 255}`,
    port: 80,
    protocol: 6,
    scheduler: "rr",
  }));
  const changes = servers.flatMap((server): IpvsChange[] => [
    { verb: "add", server },
    { verb: "add", server, real: { address: "10.244.0.5", port: 80, weight: 1 } },
    { verb: "add", server, real: { address: "10.244.0.6", port: 80, weight: 1 } },
  ]);
  assert(ipvs.apply(changes).every((result) => result === null));
  const listed = ipvs.list();
  assert.deepEqual(listed.map(serverText).sort(), servers.map(serverText).sort());
  assert.equal(ipvs.reals(servers[777]).length, 2);
  const again = ipvs.apply(changes);
  assert(again.every((result) => result?.code === "EEXIST"));
  const removals = servers.slice(0, 500).map((server): IpvsChange => ({ verb: "remove", server }));
  assert(ipvs.apply(removals).every((result) => result === null));
  assert.equal(ipvs.list().length, 1000);
  ipvs.flush();
  assert.deepEqual(ipvs.list(), []);
});

Deno.test("ipvs: namespaces have their own virtual servers, time-outs and sysctls", () => {
  using namespace = NetworkNamespace.create();
  using a = namespace.run(() => Ipvs.open());
  using b = isolated();
  a.change({ verb: "add", server: { ...TCP, scheduler: "rr" } });
  assert.deepEqual([a.list().length, b.list().length], [1, 0]);
  assert.deepEqual(b.timeouts(), { tcp: 900, tcpFin: 120, udp: 300 });
  a.setTimeouts({ tcp: 86400, udp: 30 });
  assert.deepEqual(a.timeouts(), { tcp: 86400, tcpFin: 120, udp: 30 });
  a.setTimeouts({ tcpFin: 5 });
  assert.deepEqual(a.timeouts(), { tcp: 86400, tcpFin: 5, udp: 30 });
  a.zero();
  a.zero(TCP);
  assert.throws(() => a.zero({ ...TCP, port: 1 }), { code: "ESRCH" });
  const info = a.info();
  assert.match(info.version, /^\d+\.\d+\.\d+$/);
  assert(info.connectionTableSize >= 256);
  assert.equal(namespace.run(() => readSysctl("net.ipv4.vs.conn_reuse_mode")), "1");
});

Deno.test("ipvs: statistics count what passed", async () => {
  using namespace = newNamespace();
  using ipvs = namespace.run(() => Ipvs.open());
  using net = namespace.run(() => Rtnetlink.open());
  net.addresses.add({ link: "lo", address: "10.96.0.10" });
  const server = { address: "10.96.0.10", port: 53, protocol: 17, scheduler: "rr" };
  ipvs.change({ verb: "add", server });
  const pod = namespace.run(() =>
    Deno.listenDatagram({ transport: "udp", hostname: "127.0.0.1", port: 5353 })
  );
  const client = namespace.run(() =>
    Deno.listenDatagram({ transport: "udp", hostname: "10.96.0.10", port: 0 })
  );
  try {
    const real = { address: "127.0.0.1", port: 5353, weight: 1 };
    ipvs.change({ verb: "add", server, real });
    await client.send(new Uint8Array(100), { transport: "udp", hostname: "10.96.0.10", port: 53 });
    const [bytes] = await pod.receive();
    assert.equal(bytes.length, 100);
    const [{ activeConnections, inactiveConnections }] = ipvs.reals(server);
    assert.deepEqual([activeConnections, inactiveConnections], [0, 1]);
    // The kernel adds its counters up every two seconds.
    const counted = () => [...ipvs.reals(server), ...ipvs.list()];
    const seen = () => counted().every(({ statistics }) => statistics.inPackets > 0n);
    await until(seen, "they are added up");
    for (const { statistics } of counted()) {
      assert.deepEqual(
        [statistics.connections, statistics.inPackets, statistics.inBytes],
        [1n, 1n, 128n],
      );
    }
    ipvs.zero(server);
    assert.equal(ipvs.reals(server)[0].statistics.inBytes, 0n);
  } finally {
    pod.close();
    client.close();
  }
});

Deno.test("links: a dummy device that is down makes addresses local", () => {
  using namespace = newNamespace();
  using net = namespace.run(() => Rtnetlink.open());
  const link = net.links.createDummy({ name: "kube-ipvs0", mtu: 1400 });
  assert.deepEqual([link.kind, link.mtu, link.up], ["dummy", 1400, false]);
  net.addresses.add({ link: "kube-ipvs0", address: "10.96.0.1" });
  const local = net.routes.list({ table: 255 }).filter((route) => route.type === "local");
  assert(local.some((route) => route.destination === "10.96.0.1/32"));
});

Deno.test("ipvs: a family that the kernel lacks is not found", () => {
  using socket = NetlinkSocket.open(NETLINK_GENERIC);
  assert.equal(findFamily(socket, "NO_SUCH_FAMILY"), null);
  assert.equal(findFamily(socket, "IPVS")?.name, "IPVS");
});
