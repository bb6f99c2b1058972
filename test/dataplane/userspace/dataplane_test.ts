/**
 * userspace mode with real packets: a lab of network namespaces, real servers, and the real worker,
 * TUN device and engine between them.
 */

import assert from "node:assert/strict";
import type { ClusterObject } from "../../../src/cluster/objects.ts";
import {
  UserspaceDataPlane,
  type UserspaceOptions,
} from "../../../src/dataplane/userspace/dataplane.ts";
import { isOwnRule } from "../../../src/dataplane/userspace/own.ts";
import type { EngineCounters } from "../../../src/engine/handle.ts";
import { Lab } from "../../../src/lab/lab.ts";
import type { Outcome, ProbeOptions, Target } from "../../../src/lab/probe.ts";
import { payloadSha256 } from "../../../src/lab/payload.ts";
import { DEFAULT_NODE, type Server } from "../../../src/lab/topology.ts";
import { NetworkNamespace } from "../../../src/linux/namespace.ts";
import { readSysctl, writeSysctl } from "../../../src/linux/sysctl.ts";
import { TABLE_LOCAL } from "../../../src/netlink/route/names.ts";
import { Rtnetlink } from "../../../src/netlink/route/rtnetlink.ts";
import { Planner } from "../../../src/plan/planner.ts";
import { requires } from "../../requirements.ts";
import { apply, endpoint, remove, service, slice } from "../../services/objects.ts";

const PODS = ["10.244.1.1", "10.244.1.2", "10.244.1.3"];
const VIP = "10.96.0.10";

function pod(name: string, addresses: string[], ports: Server["ports"]): Server {
  return { name: `default/${name}`, hostname: name, addresses, ports };
}

const TCP = { protocol: "TCP", port: 8080 } as const;
const UDP = { protocol: "UDP", port: 8080 } as const;

const SERVERS: Server[] = [
  pod("one", [PODS[0], "fd00:10:244::1"], [TCP, UDP]),
  pod("two", [PODS[1], "fd00:10:244::2"], [TCP, UDP]),
  pod("three", [PODS[2], "fd00:10:244::3"], [TCP, UDP]),
];

function nodeNamespace(lab: Lab): NetworkNamespace {
  return NetworkNamespace.open(`/proc/self/fd/${lab.nodeNamespaceFd}`);
}

/** A lab whose node runs the data plane. */
class Bed implements AsyncDisposable {
  readonly planner = new Planner({
    nodeName: DEFAULT_NODE.name,
    nodeAddresses: DEFAULT_NODE.addresses,
    clusterCIDRs: ["10.244.0.0/16", "fd00:10:244::/48"],
    detectLocalMode: "ClusterCIDR",
    masqueradeAll: false,
    nodePortAddresses: [],
    families: ["IPv4", "IPv6"],
    scheduler: "rr",
  });

  private constructor(readonly lab: Lab, readonly dataPlane: UserspaceDataPlane) {}

  /** @param prepare called in the node's namespace before the data plane starts. */
  static async start(
    servers: readonly Server[] = SERVERS,
    prepare: () => void = () => {},
    options: UserspaceOptions = {},
  ): Promise<Bed> {
    const lab = await Lab.start();
    try {
      nodeNamespace(lab).run(prepare);
      assert.deepEqual(await lab.setServers(servers), []);
      const dataPlane = await UserspaceDataPlane.start({
        namespaceFd: lab.nodeNamespaceFd,
        ...options,
      });
      return new Bed(lab, dataPlane);
    } catch (error) {
      await lab.stop();
      throw error;
    }
  }

  async sync(changes: ReturnType<typeof apply>): Promise<void> {
    const change = this.planner.update(changes);
    await this.dataPlane.sync(this.planner.plan, change);
  }

  apply(...objects: ClusterObject[]): Promise<void> {
    return this.sync(apply(...objects));
  }

  /** How often each pod answered `count` connections; fails on anything but answers. */
  async ask(from: string, target: Target, count: number): Promise<Record<string, number>> {
    const counts: Record<string, number> = {};
    for (const outcome of await this.lab.probe(from, target, { count })) {
      assert.equal(outcome.kind, "answer", JSON.stringify({ from, target, outcome }));
      const { pod } = outcome as Extract<Outcome, { kind: "answer" }>;
      counts[pod] = (counts[pod] ?? 0) + 1;
    }
    return counts;
  }

  /** Runs a function in the node's namespace. */
  inside<T>(fn: (net: Rtnetlink) => T): T {
    return nodeNamespace(this.lab).run(() => {
      using net = Rtnetlink.open();
      return fn(net);
    });
  }

  async outcome(from: string, target: Target, options?: ProbeOptions): Promise<Outcome> {
    return (await this.lab.probe(from, target, options))[0];
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.dataPlane.stop();
    await this.lab.stop();
  }
}

/**
 * The reasons for which something was dropped, but for "source": the kernel itself announces its
 * multicast groups on the device from the unspecified address.
 */
function drops({ dropped }: EngineCounters): Record<string, number> {
  return Object.fromEntries(
    Object.entries(dropped).filter(([reason, count]) => count > 0 && reason !== "source"),
  );
}

const vip: Target = { address: VIP, port: 80, protocol: "TCP" };
const equally = { one: 4, two: 4, three: 4 };

/** A new UDP socket may get a port that one before it had, whose flow it then goes on with. */
function nearlyEqually(answers: Readonly<Record<string, number>>): boolean {
  const counts = ["one", "two", "three"].map((pod) => answers[pod] ?? 0);
  return counts.every((count) => count >= 2 && count <= 6) &&
    counts.reduce((sum, count) => sum + count) === 12;
}

Deno.test({
  ...requires("connections to every kind of frontend go round robin", "root", "netns", "tun"),
  async fn() {
    await using bed = await Bed.start();
    await bed.apply(
      service("web", {
        type: "NodePort",
        ports: [
          { name: "tcp", port: 80, protocol: "TCP", nodePort: 30007 },
          { name: "udp", port: 80, protocol: "UDP", nodePort: 30007 },
        ],
        clusterIP: VIP,
        clusterIPs: [VIP, "fd00:96::10"],
        externalIPs: ["203.0.113.7"],
      }),
      slice("web", PODS, {
        ports: [
          { name: "tcp", port: 8080, protocol: "TCP" },
          { name: "udp", port: 8080, protocol: "UDP" },
        ],
      }),
      slice("web", ["fd00:10:244::1", "fd00:10:244::2", "fd00:10:244::3"], {
        suffix: "v6",
        addressType: "IPv6",
        ports: [
          { name: "tcp", port: 8080, protocol: "TCP" },
          { name: "udp", port: 8080, protocol: "UDP" },
        ],
      }),
    );
    const addresses: [string, number][] = [
      [VIP, 80],
      ["fd00:96::10", 80],
      ["203.0.113.7", 80],
      ["192.168.50.10", 30007],
      ["fd00:50::10", 30007],
    ];
    for (const from of ["client", "node", "default/one"]) {
      for (const [address, port] of addresses) {
        for (const protocol of ["TCP", "UDP"] as const) {
          const answers = await bed.ask(from, { address, port, protocol }, 12);
          const about = `${from} → ${address}:${port}/${protocol}: ${JSON.stringify(answers)}`;
          if (protocol === "TCP") assert.deepEqual(answers, equally, about);
          else assert.ok(nearlyEqually(answers), about);
        }
      }
    }
    const counters = await bed.dataPlane.engine.counters();
    assert.deepEqual(drops(counters), {});
    const connections = counters.backends.reduce((sum, backend) => sum + backend.connections, 0);
    const asked = 3 * addresses.length * 2 * 12;
    assert.ok(connections <= asked && connections > asked - 10, `${connections} of ${asked}`);
  },
});

Deno.test({
  ...requires(
    "the node is the node where other local addresses may go out",
    "root",
    "netns",
    "tun",
  ),
  async fn() {
    // As kube-proxy leaves it: the kernel may then choose the device's address of scope host.
    await using bed = await Bed.start(
      SERVERS,
      () => writeSysctl("net.ipv4.conf.all.route_localnet", 1),
    );
    await bed.apply(
      service("web", {
        type: "NodePort",
        ports: [{ port: 80, protocol: "TCP", nodePort: 30007 }],
        externalTrafficPolicy: "Local",
      }),
      slice("web", PODS.map((address) => endpoint(address, "ready", { node: "elsewhere" }))),
    );
    const nodePort: Target = { address: "192.168.50.10", port: 30007, protocol: "TCP" };
    assert.deepEqual(await bed.ask("node", nodePort, 12), equally);
    assert.deepEqual(await bed.ask("node", vip, 12), equally);
    const { kind } = await bed.outcome("client", nodePort, { timeoutMs: 400 });
    assert.equal(kind, "timeout", "policy Local has nobody here for those from outside");
  },
});

Deno.test({
  ...requires("a Service without endpoints refuses at once", "root", "netns", "tun"),
  async fn() {
    await using bed = await Bed.start();
    const ports = [
      { name: "t", port: 80, protocol: "TCP" as const },
      { name: "u", port: 80, protocol: "UDP" as const },
    ];
    await bed.apply(
      service("empty", { ports, clusterIPs: [VIP, "fd00:96::10"] }),
    );
    for (const address of [VIP, "fd00:96::10"]) {
      for (const protocol of ["TCP", "UDP"] as const) {
        for (const from of ["client", "node", "default/one"]) {
          const outcome = await bed.outcome(from, { address, port: 80, protocol });
          assert.equal(outcome.kind, "refused", `${from} → ${address}/${protocol}`);
        }
      }
    }
  },
});

Deno.test({
  ...requires("a backend that refuses or is silent is passed over", "root", "netns", "tun"),
  async fn() {
    // "two" serves nothing on the port; what is sent to 10.244.1.9 is lost; nobody has 10.244.1.8,
    // and the node says so.
    await using bed = await Bed.start([SERVERS[0], pod("two", [PODS[1]], [UDP]), SERVERS[2]]);
    bed.inside((net) => net.routes.add({ destination: "10.244.1.9", type: "blackhole" }));
    await bed.apply(service("web"), slice("web", PODS));
    const refused = await bed.ask("client", vip, 9);
    assert.equal(refused.two, undefined);
    assert.ok((await bed.dataPlane.engine.counters()).retried >= 2);

    await bed.apply(slice("web", [PODS[0], "10.244.1.8"]));
    assert.deepEqual(await bed.ask("client", vip, 4), { one: 4 });

    await bed.apply(slice("web", [PODS[0], "10.244.1.9"]));
    const outcomes = await bed.lab.probe("client", vip, { count: 4 });
    assert.deepEqual(
      outcomes.map((outcome) => outcome.kind === "answer" ? outcome.pod : outcome.kind),
      ["one", "one", "one", "one"],
    );
  },
});

Deno.test({
  ...requires("what routers say of packets reaches who sent them", "root", "netns", "tun"),
  async fn() {
    await using bed = await Bed.start(SERVERS.slice(0, 1));
    bed.inside((net) => {
      const pod = net.routes.list({ table: 254 }).find(({ destination }) =>
        destination === "fd00:10:244::1/128"
      );
      net.links.setMtu(pod!.link!, 1300);
      net.routes.add({ destination: "fd00:10:244::9", type: "unreachable" });
    });
    const tcp = { port: 8080, protocol: "TCP" } as const;
    await bed.apply(
      service("web", { clusterIPs: [VIP, "fd00:96::10"] }),
      slice("web", [PODS[0]]),
      slice("web", ["fd00:10:244::1"], { suffix: "v6", addressType: "IPv6", ports: [tcp] }),
    );
    const bytes = 1 << 20;
    const expected = { bytes, sha256: payloadSha256(bytes) };
    for (const address of [VIP, "[fd00:96::10]"]) {
      assert.deepEqual(await bed.lab.upload("client", `http://${address}`, bytes), expected);
    }
    // One of the two cannot be reached.
    const both = ["fd00:10:244::1", "fd00:10:244::9"];
    await bed.apply(slice("web", both, { suffix: "v6", addressType: "IPv6", ports: [tcp] }));
    const { retried } = await bed.dataPlane.engine.counters();
    assert.deepEqual(await bed.ask("client", { ...vip, address: "fd00:96::10" }, 4), { one: 4 });
    assert.ok((await bed.dataPlane.engine.counters()).retried >= retried + 2);
  },
});

Deno.test({
  ...requires("established connections survive changes of other backends", "root", "netns", "tun"),
  async fn() {
    await using bed = await Bed.start();
    await bed.apply(service("web"), slice("web", [PODS[0]]));
    const bytes = 32 << 20;
    const download = bed.lab.download("client", `http://${VIP}`, bytes);
    for (let step = 0; step < 40; step++) {
      const others = PODS.slice(1).filter((_, i) => (step >> i) % 2 === 0);
      await bed.apply(slice("web", [PODS[0], ...others]));
    }
    assert.deepEqual(await download, { bytes, sha256: payloadSha256(bytes) });
  },
});

Deno.test({
  ...requires("100 MB each way through one connection arrive intact", "root", "netns", "tun"),
  async fn() {
    await using bed = await Bed.start();
    await bed.apply(service("web"), slice("web", PODS));
    const bytes = 100_000_000;
    const expected = { bytes, sha256: payloadSha256(bytes) };
    assert.deepEqual(await bed.lab.download("client", `http://${VIP}`, bytes), expected);
    assert.deepEqual(await bed.lab.upload("client", `http://${VIP}`, bytes), expected);
    assert.deepEqual(drops(await bed.dataPlane.engine.counters()), {});
  },
});

Deno.test({
  ...requires("500 concurrent connections all complete", "root", "netns", "tun"),
  async fn() {
    await using bed = await Bed.start();
    await bed.apply(service("web"), slice("web", PODS));
    const outcomes = await bed.lab.probe("client", vip, {
      count: 500,
      concurrency: 500,
      timeoutMs: 60_000,
    });
    assert.deepEqual(outcomes.filter((outcome) => outcome.kind !== "answer"), []);
  },
});

Deno.test({
  ...requires("beside node ports the node's own servers are reached", "root", "netns", "tun"),
  async fn() {
    await using bed = await Bed.start();
    const ports = [30007, 30009].map((nodePort) => (
      { name: `p${nodePort}`, port: nodePort, protocol: "TCP", nodePort } as const
    ));
    await bed.apply(service("web", { type: "NodePort", ports }));
    using listener = bed.inside(() => Deno.listen({ hostname: "192.168.50.10", port: 30008 }));
    const serving = (async () => {
      using connection = await listener.accept();
      await connection.read(new Uint8Array(1024));
      const head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 4\r\n\r\nnode";
      await connection.write(new TextEncoder().encode(head));
    })();
    assert.equal(await bed.lab.fetchText("client", "http://192.168.50.10:30008/"), "node");
    await serving;
  },
});

Deno.test({
  ...requires("deleted Services and other ports are not ours any more", "root", "netns", "tun"),
  async fn() {
    await using bed = await Bed.start();
    const web = service("web", {
      type: "NodePort",
      ports: [{ port: 80, protocol: "TCP", nodePort: 30007 }],
    });
    await bed.apply(web, slice("web", PODS));
    const port = (address: string, port: number): Target => ({ address, port, protocol: "TCP" });
    assert.deepEqual(await bed.ask("client", vip, 12), equally);
    // Nothing listens on the node itself: its kernel says so, also for a captured port.
    assert.equal((await bed.outcome("client", port("192.168.50.10", 30008))).kind, "refused");
    assert.equal((await bed.outcome("client", port("192.168.50.10", 9))).kind, "refused");
    await bed.sync(remove(web));
    assert.notEqual((await bed.outcome("client", vip, { timeoutMs: 600 })).kind, "answer");
    assert.equal((await bed.outcome("client", port("192.168.50.10", 30007))).kind, "refused");
  },
});

Deno.test({
  ...requires("a lookup says what a connection then does", "root", "netns", "tun"),
  async fn() {
    await using bed = await Bed.start();
    await bed.apply(service("web"), slice("web", PODS));
    for (let i = 0; i < 6; i++) {
      const [answer] = await bed.dataPlane.engine.lookup([
        { source: "192.168.50.100", dest: VIP, port: 80, protocol: "TCP" },
      ]);
      const [outcome] = await bed.lab.probe("client", vip);
      assert.equal(answer.verdict, "FORWARD");
      assert.equal(
        outcome.kind === "answer" && outcome.pod,
        bed.lab.nameAt(answer.backend!.address),
      );
    }
  },
});

Deno.test({
  ...requires(
    "the node's own connections take no port of masqueraded ones",
    "root",
    "netns",
    "tun",
  ),
  async fn() {
    const reserved = "net.ipv4.ip_local_reserved_ports";
    await using bed = await Bed.start(SERVERS, () => {
      writeSysctl("net.ipv4.ip_local_port_range", "60900 65500");
      writeSysctl(reserved, "5000,60950-60999");
    });
    await bed.apply(service("web"), slice("web", PODS));
    const direct: Target = { address: PODS[0], port: 8080, protocol: "TCP" };
    assert.deepEqual(await bed.ask("node", direct, 12), { one: 12 });
    assert.deepEqual(await bed.ask("node", vip, 12), equally);
    assert.equal(bed.inside(() => readSysctl(reserved)), "5000,30000-32767,60950-65534");
  },
});

Deno.test({
  ...requires("what others take away is noticed and put back", "root", "netns", "tun"),
  async fn() {
    const needed: (() => void)[] = [];
    await using bed = await Bed.start(SERVERS, () => {}, {
      watchPeriodMs: 20,
      requestSync: () => needed.shift()?.(),
    });
    const web = service("web", {
      type: "NodePort",
      ports: [{ port: 80, protocol: "TCP", nodePort: 30007 }],
    });
    await bed.apply(web, slice("web", PODS));
    const nodePort: Target = { address: "192.168.50.10", port: 30007, protocol: "TCP" };
    const harms: ((net: Rtnetlink) => void)[] = [
      (net) => {
        net.links.setDown("switchyard0");
      },
      (net) => {
        const rules = net.rules.list().filter(isOwnRule);
        // The lab's own machines must find each other meanwhile.
        for (const rule of rules.filter(({ table }) => table !== TABLE_LOCAL)) {
          net.rules.remove(rule);
        }
      },
    ];
    for (const harm of harms) {
      const noticed = new Promise<void>((resolve) => needed.push(resolve));
      bed.inside(harm);
      await noticed;
      assert.ok((await bed.dataPlane.differences()).length > 0);
      await bed.sync([]);
      assert.deepEqual(await bed.dataPlane.differences(), []);
      assert.deepEqual(await bed.ask("client", vip, 12), equally);
      assert.deepEqual(await bed.ask("node", nodePort, 12), equally);
    }
  },
});

Deno.test({
  ...requires("an address that the node gets later becomes its source", "root", "netns", "tun"),
  async fn() {
    const needed = Promise.withResolvers<void>();
    const [own] = DEFAULT_NODE.addresses;
    await using bed = await Bed.start(
      [],
      () => {
        using net = Rtnetlink.open();
        net.addresses.remove({ link: "eth0", address: own });
      },
      { watchPeriodMs: 20, requestSync: () => needed.resolve() },
    );
    await bed.apply(service("web"), slice("web", PODS));
    assert.deepEqual(
      (await bed.dataPlane.differences()).map(({ expected }) => expected).flat(),
      [`route ${VIP} source ${own}`, `captures source ${own}`],
    );
    bed.inside((net) => net.addresses.add({ link: "eth0", address: own }));
    await needed.promise;
    await bed.sync([]);
    assert.deepEqual(await bed.dataPlane.differences(), []);
  },
});

Deno.test({
  ...requires("a data plane that lost its device says so", "root", "netns", "tun"),
  async fn() {
    const lab = await Lab.start();
    try {
      const dataPlane = await UserspaceDataPlane.start({ namespaceFd: lab.nodeNamespaceFd });
      nodeNamespace(lab).run(() => {
        using net = Rtnetlink.open();
        net.links.delete("switchyard0");
      });
      await assert.rejects(dataPlane.broken, /read from the TUN device: .*EBADFD/);
      await assert.rejects(dataPlane.engine.counters(), /worker failed/);
      await assert.rejects(dataPlane.stop(), /worker failed/);
    } finally {
      await lab.stop();
    }
  },
});
