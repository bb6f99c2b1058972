/**
 * ipvs mode on a real kernel; dataplane_test.ts runs this in a virtual machine.
 *
 * @module
 */

import assert from "node:assert/strict";
import { IptablesDataPlane } from "../../../src/dataplane/iptables/dataplane.ts";
import { ProgramRunner } from "../../../src/dataplane/iptables/programs.ts";
import { cleanupIpvs } from "../../../src/dataplane/ipvs/cleanup.ts";
import { NetlinkKernel } from "../../../src/dataplane/ipvs/kernel.ts";
import { tryIpvs } from "../../../src/dataplane/ipvs/trial.ts";
import { LocalEngine } from "../../../src/engine/local.ts";
import { close, poll, pollSet } from "../../../src/linux/libc.ts";
import { readSysctl } from "../../../src/linux/sysctl.ts";
import { FAMILIES } from "../../../src/net/address.ts";
import type { VirtualServer } from "../../../src/netlink/generic/ipvs.ts";
import { SCHEDULER_NAMES } from "../../../src/plan/scheduling.ts";
import {
  accept,
  type End,
  received,
  sctpConnect,
  sctpListener,
  send,
  tcpConnect,
  tcpListener,
  udpSocket,
} from "../../integration/vm/sockets.ts";
import { change, everything, TestNode } from "./node.ts";
import { plannerOf, service, slice } from "./plans.ts";
import { until } from "../../until.ts";

const HTTP = [{ name: "http", port: 80, protocol: "TCP", nodePort: 30080 }];
const BACKEND = [{ name: "http", port: 8080, protocol: "TCP" }];
const DNS = [{ port: 53, protocol: "UDP" }];

const web = [
  service("web", "10.96.0.1", HTTP, {
    type: "LoadBalancer",
    externalTrafficPolicy: "Local",
    externalIPs: ["198.51.100.7"],
    loadBalancerSourceRanges: ["10.0.0.0/8", "0.0.0.0/0"],
    healthCheckNodePort: 32000,
    status: { loadBalancer: { ingress: [{ ip: "203.0.113.1" }] } },
  }),
  slice("web", BACKEND, ["10.244.0.1", "10.244.0.2"]),
];
const six = [
  service("six", "fd00:96::1", DNS, {
    ipFamilies: ["IPv6"],
    type: "LoadBalancer",
    sessionAffinity: "ClientIP",
    loadBalancerSourceRanges: ["fd00:50::/64"],
    status: { loadBalancer: { ingress: [{ ip: "2001:db8::9" }] } },
  }),
  slice("six", DNS, ["fd00:244::1", "fd00:244::2"]),
];
const sctp = [
  service("sctp", "10.96.0.3", [{ port: 9, protocol: "SCTP", nodePort: 30009 }], {
    type: "NodePort",
  }),
  service("none", "10.96.0.4", HTTP.map(({ nodePort: _, ...port }) => port), {
    internalTrafficPolicy: "Local",
  }),
  slice("none", BACKEND, ["10.244.0.2"]),
];

/** The dialled address, source and server of a connection that is opened and closed. */
function dial(node: TestNode, source: string, target: string, port: number): boolean {
  const fd = node.namespace.run(() =>
    tcpConnect({ address: source, port: 0 }, { address: target, port })
  );
  if (fd === null) return false;
  close(fd);
  return true;
}

/** Waits until something can be read. */
async function arrival(fd: number): Promise<void> {
  await until(() => poll(pollSet([fd]), 0) > 0, "something to read");
}

Deno.test("what a sync makes reads back as the plan asks for, in both families", async () => {
  using node = new TestNode();
  const planner = plannerOf([...web, ...six, ...sctp]);
  const mode = await node.start();
  await mode.plane.sync(planner.plan, everything(planner.plan));
  assert.deepEqual(mode.syncs.map(({ problems }) => problems), [[], []]);
  assert.deepEqual(await mode.plane.differences(), []);
  const links = node.net.links.list().map(({ name, kind, up }) => [name, kind, up]);
  assert.deepEqual(links.find(([name]) => name === "kube-ipvs0"), ["kube-ipvs0", "dummy", false]);
  const sysctl = (name: string) => node.namespace.run(() => readSysctl(`net.ipv4.${name}`));
  assert.deepEqual(
    ["vs.conntrack", "vs.expire_nodest_conn", "vs.expire_quiescent_template", "ip_forward"]
      .map(sysctl),
    ["1", "1", "1", "1"],
  );
  await change(mode, planner, "apply", slice("web", BACKEND, ["10.244.0.2"]));
  await change(mode, planner, "delete", ...six);
  assert.deepEqual(mode.syncs.slice(2).map(({ full }) => full), [false, false, false, false]);
  assert.deepEqual(await mode.plane.differences(), []);
  await mode.plane.stop();
});

Deno.test("every scheduler of the kernel, with flags and persistence", async () => {
  using node = new TestNode();
  const annotated = SCHEDULER_NAMES.filter((name) => name !== "random").flatMap((name, i) =>
    ["", name === "sh" ? "sh-port,sh-fallback" : name === "mh" ? "mh-fallback" : ""]
      .map((flags, j) =>
        service(`${name}${j}`, `10.96.${i}.${j}`, [{ port: 80, protocol: "TCP" }], {
          sessionAffinity: j === 0 ? "None" : "ClientIP",
          annotations: {
            "switchyard.io/ipvs-scheduler": name,
            "switchyard.io/ipvs-scheduler-flags": flags,
          },
        })
      )
  );
  const planner = plannerOf(annotated, { families: ["IPv4"] });
  assert.deepEqual(planner.problems, []);
  const timeouts = { tcp: 7200, udp: 30 };
  const mode = await node.start({ families: ["IPv4"], timeouts, strictARP: true });
  await mode.plane.sync(planner.plan, everything(planner.plan));
  assert.deepEqual(await mode.plane.differences(), []);
  assert.deepEqual(node.ipvs.timeouts(), { tcp: 7200, tcpFin: 120, udp: 30 });
  const sysctl = (name: string) =>
    node.namespace.run(() => readSysctl(`net.ipv4.conf.all.${name}`));
  assert.deepEqual(["arp_ignore", "arp_announce"].map(sysctl), ["1", "2"]);
  const found = new Map(
    node.ipvs.list().map((server) => [
      "address" in server ? server.address : "",
      [server.scheduler, server.schedulerFlags, server.persistence?.timeout ?? null],
    ]),
  );
  SCHEDULER_NAMES.forEach((name, i) => {
    if (name === "random") return;
    // This kernel has no twos: its Services get the default, and still work.
    const scheduler = name === "twos" ? "rr" : name;
    const fallback = name === "sh" || name === "mh" ? 8 : 0;
    assert.deepEqual(found.get(`10.96.${i}.0`), [scheduler, fallback, null], name);
    const flags = { sh: 0x18, mh: 8 }[name as string] ?? 0;
    assert.deepEqual(found.get(`10.96.${i}.1`), [scheduler, flags, 10800], name);
  });
  await mode.plane.stop();
});

Deno.test("a trial says what works and leaves nothing", async () => {
  using node = new TestNode();
  const runner = new ProgramRunner(node.namespace);
  // The kubelet's mark shows that this node uses legacy iptables.
  await node.output("iptables-legacy", "-t", "mangle", "-N", "KUBE-IPTABLES-HINT");
  // Left by a trial that was cut off.
  node.ipset.create({ name: "SWITCHYARD-6-TRIAL", type: "hash:ip,port", family: "IPv6" });
  assert.deepEqual(await tryIpvs(runner, FAMILIES, "rr"), { usable: FAMILIES, problems: [] });
  await assert.rejects(tryIpvs(runner, FAMILIES, "twos"), /has no scheduler twos/);
  assert.deepEqual([node.ipvs.list(), node.ipset.names()], [[], []]);
  assert.deepEqual(node.net.links.list().map(({ name }) => name), ["lo"]);
  assert.doesNotMatch(await node.output("iptables-legacy-save"), /TRIAL/);
});

Deno.test("iptables mode gives way within a sync, and cleaning up takes nothing but ours", async () => {
  using node = new TestNode(["192.168.50.10", "192.168.50.11"]);
  const foreign: VirtualServer[] = [
    { address: "192.168.50.11", port: 443, protocol: 6, scheduler: "wlc" },
    { mark: 9, family: "IPv4", scheduler: "wlc" },
  ];
  for (const server of foreign) node.ipvs.change({ verb: "add", server });
  node.ipset.create({ name: "OTHERS", type: "hash:ip" });
  await node.output("iptables-legacy", "-t", "nat", "-A", "POSTROUTING", "-j", "ACCEPT");
  const planner = plannerOf([...web, ...sctp], { families: ["IPv4"] });
  const iptables = await IptablesDataPlane.start({
    engine: LocalEngine.create(),
    families: ["IPv4"],
    backend: "legacy",
    namespaceFd: node.namespace.fd,
    canaryPeriodMs: 0,
    confirmationMs: 0,
  });
  await iptables.sync(planner.plan, everything(planner.plan));
  await iptables.stop();
  const mode = await node.start({ families: ["IPv4"] });
  await mode.plane.sync(planner.plan, everything(planner.plan));
  assert.deepEqual(await mode.plane.differences(), []);
  const text = await node.output("iptables-legacy-save");
  assert.doesNotMatch(text, /^:KUBE-(SVC|SVL|SEP|EXT|FW|NODEPORTS|EXTERNAL-SERVICES)/m);
  assert.match(text, /-j KUBE-IPVS-FILTER/);
  await mode.plane.stop();
  assert.ok(node.ipvs.list().length > 5, "everything stays when the process ends");

  const runner = new ProgramRunner(node.namespace);
  assert.deepEqual(await cleanupIpvs(runner), []);
  assert.deepEqual(
    node.ipvs.list().map((server) => "mark" in server ? server.mark : server.address).sort(),
    ["192.168.50.11", 9].sort(),
  );
  assert.deepEqual(node.ipset.names(), ["OTHERS"]);
  assert.deepEqual(node.net.links.list().map(({ name }) => name), ["lo"]);
  const left = await node.output("iptables-legacy-save");
  // The kubelet shares this chain.
  assert.doesNotMatch(left.replaceAll("KUBE-FIREWALL", ""), /KUBE/);
  assert.match(left, /^-A POSTROUTING -j ACCEPT$/m);
  assert.deepEqual(await cleanupIpvs(runner), [], "nothing is left");
});

Deno.test("TCP connections outlive the endpoint's removal, unless they have had their time", async () => {
  using node = new TestNode(["192.168.50.10", "10.244.0.2", "10.244.0.4"]);
  const planner = plannerOf([
    service("web", "10.96.0.1", HTTP),
    slice("web", BACKEND, ["10.244.0.2"]),
  ], { families: ["IPv4"] });
  const mode = await node.start({ families: ["IPv4"] });
  await mode.plane.sync(planner.plan, everything(planner.plan));
  const listeners = ["10.244.0.2", "10.244.0.4"].map((address) =>
    node.namespace.run(() => tcpListener({ address, port: 8080 }))
  );
  const client = node.namespace.run(() =>
    tcpConnect({ address: "192.168.50.10", port: 40000 }, { address: "10.96.0.1", port: 80 })
  );
  assert.ok(client !== null);
  const server = accept(listeners[0]);
  assert.ok(server !== null);
  const reals = () =>
    node.ipvs.reals({ address: "10.96.0.1", port: 80, protocol: 6 })
      .map(({ address, weight, activeConnections }) => [address, weight, activeConnections]);
  assert.deepEqual(reals(), [["10.244.0.2", 1, 1]]);
  await change(mode, planner, "apply", slice("web", BACKEND, ["10.244.0.4"]));
  assert.deepEqual(reals().sort(), [["10.244.0.2", 0, 1], ["10.244.0.4", 1, 0]]);
  assert.equal(mode.plane.leaving, 1);
  assert.ok(dial(node, "192.168.50.10", "10.96.0.1", 80));
  assert.ok(accept(listeners[1]) !== null, "new connections go to the new endpoint");
  await mode.plane.stop();
  // Another process, with a deadline, finds what the first one left.
  const folder = await Deno.makeTempDir();
  const deadline = {
    families: ["IPv4"],
    gracefulDeadlineMs: 3_600_000,
    leavingFile: `${folder}/state/ipvs-leaving.json`,
  } as const;
  const later = await node.start(deadline);
  await later.plane.sync(planner.plan, everything(planner.plan));
  assert.equal(later.plane.leaving, 1);
  await later.plane.stop();
  // An hour later a third one, which knows since when it leaves.
  const kept = JSON.parse(await Deno.readTextFile(deadline.leavingFile));
  const names = Object.keys(kept.since);
  assert.deepEqual(names, ["10.96.0.1:80/TCP 10.244.0.2:8080"]);
  kept.since[names[0]] -= deadline.gracefulDeadlineMs;
  await Deno.writeTextFile(deadline.leavingFile, JSON.stringify(kept));
  const last = await node.start(deadline);
  await last.plane.sync(planner.plan, everything(planner.plan));
  await until(() => last.plane.leaving === 0, "it has had its time");
  assert.deepEqual(reals().map(([address]) => address), ["10.244.0.4"]);
  const { since } = JSON.parse(await Deno.readTextFile(deadline.leavingFile));
  assert.deepEqual(since, {});
  await last.plane.stop();
  await Deno.remove(folder, { recursive: true });
  for (const fd of [client, server, ...listeners]) close(fd);
});

Deno.test("UDP flows go on with another endpoint when theirs is removed", async () => {
  using node = new TestNode(["192.168.50.10", "10.244.0.2", "10.244.0.4"]);
  const planner = plannerOf([
    service("dns", "10.96.0.10", DNS),
    slice("dns", DNS, ["10.244.0.2"]),
  ], { families: ["IPv4"] });
  const mode = await node.start({ families: ["IPv4"] });
  await mode.plane.sync(planner.plan, everything(planner.plan));
  const [client, former, next] = node.namespace.run(() => [
    udpSocket({ address: "192.168.50.10", port: 40000 }),
    udpSocket({ address: "10.244.0.2", port: 53 }),
    udpSocket({ address: "10.244.0.4", port: 53 }),
  ]);
  const target = { address: "10.96.0.10", port: 53 };
  const ask = () => send(client, target, Uint8Array.of(1));
  assert.ok(ask());
  await arrival(former);
  assert.equal([...received(former)].length, 1);
  await change(mode, planner, "apply", slice("dns", DNS, ["10.244.0.4"]));
  const arrived = () => [former, next].map((fd) => [...received(fd)].length);
  ask();
  await arrival(next);
  assert.deepEqual(arrived(), [0, 1], "the very next datagram");
  await mode.plane.stop();
  for (const fd of [client, former, next]) close(fd);
});

Deno.test("refused where there is no endpoint, closed where there is no Service, IPv6 too", async () => {
  using node = new TestNode(["192.168.50.10", "fd00:50::10", "10.244.0.1", "fd00:244::1"]);
  const planner = plannerOf([
    service("four", "10.96.0.1", [{ port: 80, protocol: "TCP" }]),
    slice("four", [{ port: 8080, protocol: "TCP" }], ["10.244.0.1"]),
    service("six", "fd00:96::1", [{ port: 80, protocol: "TCP" }], { ipFamilies: ["IPv6"] }),
    slice("six", [{ port: 8080, protocol: "TCP" }], ["fd00:244::1"]),
    service("none", "10.96.0.2", [{ port: 80, protocol: "TCP" }]),
  ]);
  const mode = await node.start();
  await mode.plane.sync(planner.plan, everything(planner.plan));
  const listeners = node.namespace.run(() => [
    tcpListener({ address: "10.244.0.1", port: 8080 }),
    tcpListener({ address: "fd00:244::1", port: 8080 }),
    // Something of the node itself, on all its addresses.
    tcpListener({ address: "0.0.0.0", port: 9100 }),
  ]);
  assert.ok(dial(node, "192.168.50.10", "10.96.0.1", 80));
  assert.ok(dial(node, "fd00:50::10", "fd00:96::1", 80));
  assert.ok(!dial(node, "192.168.50.10", "10.96.0.2", 80));
  assert.ok(dial(node, "192.168.50.10", "192.168.50.10", 9100));
  assert.ok(!dial(node, "192.168.50.10", "10.96.0.1", 9100), "closed at a Service's address");
  await mode.plane.stop();
  listeners.forEach(close);
});

Deno.test("an endpoint at a broadcast address is left out and named, and nothing else suffers", async () => {
  using node = new TestNode();
  node.net.links.createDummy({ name: "eth0" });
  node.net.links.setUp("eth0");
  node.net.addresses.add({ link: "eth0", address: "192.168.60.10", prefix: 24 });
  const planner = plannerOf([
    service("web", "10.96.0.1", HTTP, { type: "NodePort" }),
    slice("web", BACKEND, ["10.244.0.2", "192.168.60.255"]),
  ], { families: ["IPv4"] });
  const mode = await node.start({ families: ["IPv4"] });
  await mode.plane.sync(planner.plan, everything(planner.plan));
  const [{ problems }] = mode.syncs;
  assert.deepEqual(problems.map(({ message }) => message), [
    "ns/web:http: endpoint 192.168.60.255: IPVS forwards to no such address",
  ]);
  assert.deepEqual(await mode.plane.differences(), []);
  for (const server of node.ipvs.list()) {
    assert.deepEqual(node.ipvs.reals(server).map(({ address }) => address), ["10.244.0.2"]);
  }
  await mode.plane.stop();
});

Deno.test("SCTP associations are balanced at cluster IPs and node ports, not to who has left", async () => {
  const pods = ["10.244.0.2", "10.244.0.4"];
  using node = new TestNode(["192.168.50.10", ...pods]);
  const port = { port: 9, protocol: "SCTP" };
  const planner = plannerOf([
    service("sctp", "10.96.0.3", [{ ...port, nodePort: 30009 }], { type: "NodePort" }),
    slice("sctp", [port], pods),
  ], { families: ["IPv4"] });
  const mode = await node.start({ families: ["IPv4"] });
  await mode.plane.sync(planner.plan, everything(planner.plan));
  const listeners = pods.map((address) =>
    node.namespace.run(() => sctpListener({ address, port: 9 }))
  );
  const associate = async (target: End): Promise<string | null> => {
    const local = { address: "192.168.50.10", port: 0 };
    const client = node.namespace.run(() => sctpConnect(local, target));
    if (client === null) return null;
    const fds = pollSet(listeners);
    await until(() => poll(fds, 0) > 0, "an association");
    const servers = listeners.map(accept);
    for (const fd of [client, ...servers]) if (fd !== null) close(fd);
    return pods.find((_, i) => servers[i] !== null)!;
  };
  const ends = [{ address: "10.96.0.3", port: 9 }, { address: "192.168.50.10", port: 30009 }];
  for (const end of ends) {
    assert.deepEqual([await associate(end), await associate(end)].sort(), pods);
  }
  await change(mode, planner, "apply", slice("sctp", [port], [pods[1]]));
  for (const end of ends) {
    assert.deepEqual([await associate(end), await associate(end)], [pods[1], pods[1]]);
  }
  await mode.plane.stop();
  listeners.forEach(close);
});

Deno.test("an address that the node has is left where it is, in whatever scope but a link's", async () => {
  using node = new TestNode(["192.168.50.10"]);
  const own = "198.51.100.9";
  node.net.addresses.add({ link: "lo", address: own, scope: "host" });
  node.net.links.createDummy({ name: "eth0" });
  node.net.links.setUp("eth0");
  const planner = plannerOf([
    service("web", "10.96.0.1", HTTP, { externalIPs: [own, "198.51.100.10"] }),
  ], { families: ["IPv4"] });
  const mode = await node.start({ families: ["IPv4"] });
  await mode.plane.sync(planner.plan, everything(planner.plan));
  const bound = node.net.addresses.list({ link: "kube-ipvs0", family: "IPv4" });
  assert.deepEqual(bound.map(({ address }) => address).sort(), ["10.96.0.1", "198.51.100.10"]);
  using kernel = node.namespace.run(() => NetlinkKernel.open());
  const six = node.net.addresses.list({ link: "eth0", family: "IPv6" });
  assert.deepEqual(six.map(({ scope }) => scope), ["link"]);
  assert.deepEqual(kernel.addresses("IPv6").elsewhere, ["::1"]);
  await mode.plane.stop();
});

Deno.test("a set that becomes too small is exchanged for a larger one, in use as it is", async () => {
  using node = new TestNode();
  using kernel = node.namespace.run(() => NetlinkKernel.open());
  const set = { name: "KUBE-CLUSTER-IP", type: "hash:ip,port" } as const;
  kernel.createSet(set, "IPv4");
  const added = ["10.96.0.1,tcp:80", "10.96.0.2,udp:53"];
  assert.deepEqual(kernel.changeSet(set, { added }), []);
  const rule = "-t nat -A PREROUTING -m set --match-set KUBE-CLUSTER-IP dst,dst -j ACCEPT";
  await node.output("iptables-legacy", ...rule.split(" "));
  for (const capacity of [65_536, 131_072, 1000]) {
    kernel.enlargeSet(set, "IPv4", capacity);
    const [{ maxElements, references }] = node.ipset.headers(set.name);
    assert.deepEqual([maxElements, references], [capacity === 65_536 ? 65_536 : 131_072, 1]);
  }
  assert.deepEqual(kernel.set(set.name)?.entries, added);
  assert.deepEqual(node.ipset.names(), [set.name]);
});

Deno.test("who flushes what is ours is noticed", async () => {
  using node = new TestNode();
  const planner = plannerOf(web, { families: ["IPv4"] });
  let asked = 0;
  const mode = await node.start({
    families: ["IPv4"],
    watchPeriodMs: 500,
    requestSync: () => asked++,
  });
  await mode.plane.sync(planner.plan, everything(planner.plan));
  for (const flush of [() => node.ipvs.flush(), () => node.ipset.flush("KUBE-CLUSTER-IP")]) {
    const before = asked;
    flush();
    await until(() => asked > before, `${flush}`);
    await mode.plane.sync(planner.plan, { node: null, updated: [], removed: [] });
    assert.deepEqual(await mode.plane.differences(), []);
  }
  await mode.plane.stop();
});
