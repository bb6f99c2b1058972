/** Keeping one family of a node in step, also when things go wrong; on a kernel in memory. */

import assert from "node:assert/strict";
import fc from "fast-check";
import type { ClusterObject } from "../../../src/cluster/objects.ts";
import { FamilyIpvs, type FamilyOptions } from "../../../src/dataplane/ipvs/family.ts";
import type { Times } from "../../../src/dataplane/ipvs/leaving_times.ts";
import { DEFAULT_IPVS_OPTIONS } from "../../../src/dataplane/ipvs/options.ts";
import { FAMILIES } from "../../../src/net/address.ts";
import type { Planner } from "../../../src/plan/planner.ts";
import { Planner as RealPlanner } from "../../../src/plan/planner.ts";
import { clusterChange, plannerConfig } from "../../plan/arbitraries.ts";
import { FakeNode, Killed } from "./fake_kernel.ts";
import { plannerOf, service, slice } from "./plans.ts";

const OPTIONS: FamilyOptions = { node: "node1", excludeCIDRs: [], gracefulDeadlineMs: 0 };
const HTTP = [{ name: "http", port: 80, protocol: "TCP", nodePort: 30080 }];
const BACKEND = [{ name: "http", port: 8080, protocol: "TCP" }];
const WEB = "TCP 10.96.0.1:80";

const web = (...endpoints: readonly string[]): ClusterObject[] => [
  service("web", "10.96.0.1", HTTP, {
    type: "LoadBalancer",
    externalTrafficPolicy: "Local",
    loadBalancerSourceRanges: ["10.0.0.0/8"],
    healthCheckNodePort: 32000,
    status: { loadBalancer: { ingress: [{ ip: "203.0.113.1" }] } },
  }),
  slice("web", BACKEND, endpoints),
];
const dns = (...endpoints: readonly string[]): ClusterObject[] => [
  service("dns", "10.96.0.10", [{ port: 53, protocol: "UDP" }]),
  slice("dns", [{ port: 53, protocol: "UDP" }], endpoints),
];

/** A family on a node in memory. */
class Rig {
  readonly planner: Planner;
  family: FamilyIpvs;
  now = 0;

  constructor(
    objects: readonly ClusterObject[],
    readonly options: Partial<FamilyOptions> = {},
    readonly node = new FakeNode(),
  ) {
    this.planner = plannerOf(objects, { families: ["IPv4"] });
    this.family = this.started();
  }

  /** As after a restart: nothing is known but what the node has, and since when servers leave. */
  started(since?: Times): FamilyIpvs {
    const options = { ...OPTIONS, ...this.options };
    const now = () => this.now;
    return this.family = new FamilyIpvs("IPv4", this.node, this.node, options, now, since);
  }

  syncAll() {
    return this.family.syncAll(this.planner.plan, DEFAULT_IPVS_OPTIONS);
  }

  apply(...objects: readonly ClusterObject[]) {
    return this.#change("apply", objects);
  }

  delete(...objects: readonly ClusterObject[]) {
    return this.#change("delete", objects);
  }

  #change(action: "apply" | "delete", objects: readonly ClusterObject[]) {
    return this.family.syncChange(
      this.planner.update(objects.map((object) => ({ action, object }))),
    );
  }

  /** The real servers of a virtual one, with their weights. */
  reals(server = WEB): Record<string, number> {
    const reals = this.node.vips.get(server)?.reals ?? [];
    return Object.fromEntries(reals.map(({ address, weight }) => [address, weight]).sort());
  }
}

Deno.test("a sync makes everything, and the next one finds nothing to do", async () => {
  const rig = new Rig([...web("10.244.0.1", "10.244.0.2"), ...dns("10.244.0.2")]);
  const first = await rig.syncAll();
  assert.ok(first.lines > 50);
  assert.deepEqual([first.full, first.drift, first.problems], [true, [], []]);
  assert.deepEqual(rig.reals(), { "10.244.0.1": 1, "10.244.0.2": 1 });
  assert.deepEqual(rig.reals("TCP 203.0.113.1:80"), { "10.244.0.1": 1 });
  assert.deepEqual(await rig.family.differences(), []);
  assert.equal((await rig.syncAll()).lines, 0);
  rig.started();
  assert.equal((await rig.syncAll()).lines, 0);
});

Deno.test("wherever a sync is cut off, the next one ends as a clean start does", async () => {
  const objects = [...web("10.244.0.1", "10.244.0.2"), ...dns("10.244.0.2")];
  const before = [
    ...web("10.244.0.3"),
    service("old", "10.96.0.9", [{ port: 1, protocol: "TCP" }]),
  ];
  const clean = new Rig(objects);
  await clean.syncAll();
  await fc.assert(
    fc.asyncProperty(
      fc.nat({ max: 160 }),
      fc.boolean(),
      fc.boolean(),
      async (left, used, again) => {
        const former = new Rig(before);
        if (used) await former.syncAll();
        const rig = new Rig(objects, {}, former.node);
        rig.node.left = left;
        const failed = await rig.syncAll().then(() => false, (error) => {
          assert.ok(error instanceof Killed, String(error));
          return true;
        });
        assert.equal(rig.family.doubtful, failed);
        rig.node.left = Infinity;
        if (again) rig.started();
        await rig.syncAll();
        assert.deepEqual(rig.node.contents, clean.node.contents);
      },
    ),
    { numRuns: 200 },
  );
});

Deno.test("syncs of changes leave a node as one of the whole plan does, whatever happens", async () => {
  await fc.assert(
    fc.asyncProperty(
      plannerConfig,
      fc.array(
        fc.tuple(fc.array(clusterChange, { maxLength: 8 }), fc.constantFrom(Infinity, 3, 12)),
        { minLength: 1, maxLength: 5 },
      ),
      async (config, steps) => {
        const planner = new RealPlanner({ ...config, nodeName: "lab-node" });
        const node = new FakeNode();
        const families = FAMILIES.map((family) => new FamilyIpvs(family, node, node, OPTIONS));
        for (const [changes, left] of steps) {
          const change = planner.update(changes);
          for (const family of families) {
            node.left = left;
            const whole = () => family.syncAll(planner.plan, DEFAULT_IPVS_OPTIONS);
            try {
              await (change.node !== null || family.doubtful ? whole() : family.syncChange(change));
            } catch (error) {
              assert.ok(error instanceof Killed, String(error));
            }
            node.left = Infinity;
            if (family.doubtful) await whole();
          }
        }
        const clean = new FakeNode();
        for (const family of FAMILIES) {
          await new FamilyIpvs(family, clean, clean, OPTIONS)
            .syncAll(planner.plan, DEFAULT_IPVS_OPTIONS);
        }
        assert.deepEqual(node.contents, clean.contents);
        for (const family of families) assert.deepEqual(await family.differences(), []);
      },
    ),
    { numRuns: 150 },
  );
});

Deno.test("a change costs what it changes, however many Services there are", async () => {
  const services = Array.from({ length: 500 }, (_, i) => [
    service(`s${i}`, `10.97.${i >> 8}.${i & 255}`, [{ port: 80, protocol: "TCP" }]),
    slice(`s${i}`, [{ port: 8080, protocol: "TCP" }], ["10.244.0.2"]),
  ]).flat();
  const rig = new Rig([...services, ...web("10.244.0.2")]);
  await rig.syncAll();
  const cost = async (sync: () => Promise<unknown>) => {
    const before = rig.node.changes;
    await sync();
    return rig.node.changes - before;
  };
  const eighty = [{ port: 8080, protocol: "TCP" }];
  assert.equal(await cost(() => rig.apply(slice("s7", eighty, ["10.244.0.2", "10.244.0.4"]))), 1);
  // Its weight, and when it has no connections, itself.
  assert.equal(await cost(() => rig.apply(slice("s7", eighty, ["10.244.0.4"]))), 2);
  assert.equal(
    await cost(() => rig.apply(slice("s7", eighty, []))),
    4,
    "an entry of a set, and the first rule about it",
  );
  const rules = await rig.apply(slice("web", BACKEND, ["10.244.0.1", "10.244.0.2"]));
  assert.ok(rules.lines < 20, "the rules that lead to its cluster IP are new");
});

Deno.test("what is not ours stays: servers, sets, addresses, rules, and marks", async () => {
  const rig = new Rig(web("10.244.0.1"), { excludeCIDRs: ["10.96.0.128/25"] });
  const { node } = rig;
  const foreign = [
    { address: "198.51.100.1", port: 80, protocol: 6, scheduler: "wlc" },
    // A port of a node port, at an address that is none of this node.
    { address: "198.51.100.1", port: 30080, protocol: 6, scheduler: "wlc" },
    // An address of ours, but excluded.
    { address: "10.96.0.200", port: 80, protocol: 6, scheduler: "wlc" },
    { mark: 7, family: "IPv4", scheduler: "wlc" },
    { address: "2001:db8::1", port: 80, protocol: 6, scheduler: "wlc" },
  ] as const;
  node.changeServers(foreign.map((server) => ({ verb: "add", server })));
  node.createSet({ name: "OTHERS", type: "hash:ip" }, "IPv4");
  node.otherLinks.add("198.51.100.9");
  node.device = new Set(["10.96.0.200"]);
  node.tables.IPv4.get("nat")!.set("OTHERS", ["-s 10.0.0.1/32 -j ACCEPT"]);
  node.tables.IPv4.get("nat")!.get("PREROUTING")!.push("-j OTHERS");
  await rig.syncAll();
  await rig.delete(...web("10.244.0.1"));
  rig.started();
  await rig.syncAll();
  assert.deepEqual([...node.vips.keys()].sort(), [
    "TCP 10.96.0.200:80",
    "TCP 198.51.100.1:30080",
    "TCP 198.51.100.1:80",
    "TCP [2001:db8::1]:80",
    "mark 7 (IPv4)",
  ]);
  assert.ok(node.setsByName.has("OTHERS"));
  assert.ok(node.otherLinks.has("198.51.100.9"));
  assert.deepEqual(node.tables.IPv4.get("nat")!.get("OTHERS"), ["-s 10.0.0.1/32 -j ACCEPT"]);
  assert.equal(node.tables.IPv4.get("nat")!.get("PREROUTING")!.at(-1), "-j OTHERS");
});

Deno.test("after a restart ours are known wherever they are", async () => {
  const own = service("own", "10.96.0.5", [{ port: 443, protocol: "TCP" }], {
    externalIPs: ["192.168.50.10"],
  });
  const rig = new Rig([own, ...web("10.244.0.1")]);
  await rig.syncAll();
  assert.ok(rig.node.vips.has("TCP 192.168.50.10:443"), "at an address that another link has");
  assert.ok(rig.node.vips.has("TCP 192.168.50.10:30080"));
  const later = new Rig(dns("10.244.0.2"), {}, rig.node);
  await later.syncAll();
  assert.deepEqual([...rig.node.vips.keys()], ["UDP 10.96.0.10:53"]);
});

Deno.test("a set of one of our names and of another type is not touched, and named", async () => {
  const rig = new Rig(web("10.244.0.1"));
  rig.node.createSet({ name: "KUBE-CLUSTER-IP", type: "hash:net" }, "IPv4");
  await assert.rejects(
    rig.syncAll(),
    /a set KUBE-CLUSTER-IP of type hash:net.*expected hash:ip,port/,
  );
  assert.ok(rig.family.doubtful);
});

Deno.test("an endpoint that the kernel refuses is left out, named, and spoils nothing else", async () => {
  const rig = new Rig([...web("10.244.0.1"), ...dns("10.244.0.2")]);
  rig.node.nobodys.add("192.168.50.255");
  await rig.syncAll();
  const both = slice("web", BACKEND, ["10.244.0.1", "192.168.50.255"]);
  await assert.rejects(rig.apply(both), { name: "RefusedError" });
  const { problems } = await rig.syncAll();
  const message = "ns/web:http: endpoint 192.168.50.255: IPVS forwards to no such address";
  assert.deepEqual(problems, [{ service: "ns/web", message }]);
  assert.deepEqual(rig.reals(), { "10.244.0.1": 1 });
  assert.deepEqual(await rig.family.differences(), []);
  // What comes later is changed alone.
  assert.deepEqual((await rig.apply(...dns("10.244.0.3"))).problems, []);
  assert.deepEqual((await rig.apply(...web("10.244.0.3", "192.168.50.255"))).problems.length, 1);
  assert.deepEqual(rig.reals(), { "10.244.0.3": 1 });

  rig.started();
  assert.deepEqual((await rig.syncAll()).problems, problems, "by one sync after a restart");
  // A network of the node is another, and nobody's address a host's.
  rig.node.nobodys.clear();
  rig.node.otherLinks.add("192.168.51.10");
  assert.deepEqual((await rig.syncAll()).problems, []);
  assert.deepEqual(rig.reals(), { "10.244.0.3": 1, "192.168.50.255": 1 });
});

Deno.test("what others change is found and put right", async () => {
  const rig = new Rig([...web("10.244.0.1"), ...dns("10.244.0.2")]);
  await rig.syncAll();
  const clean = structuredClone(rig.node.contents);
  const { node } = rig;
  node.vips.delete("UDP 10.96.0.10:53");
  node.vips.get(WEB)!.reals.pop();
  node.device!.delete("10.96.0.1");
  node.setsByName.get("KUBE-CLUSTER-IP")!.entries.add("10.96.0.77,tcp:1");
  node.tables.IPv4.get("filter")!.get("INPUT")!.length = 0;
  assert.ok(rig.family.wasEmptied());
  const found = await rig.family.differences();
  assert.deepEqual(found.map(({ where, problem }) => `${problem} ${where}`), [
    "missing virtual server 10.96.0.10:53/UDP",
    "changed virtual server 10.96.0.1:80/TCP",
    "changed IPv4 kube-ipvs0",
    "changed set KUBE-CLUSTER-IP",
    ...Array(3).fill("changed IPv4 filter INPUT"),
  ]);
  const { drift } = await rig.syncAll();
  assert.deepEqual(drift, found);
  assert.deepEqual(rig.node.contents, clean);
  assert.ok(!rig.family.wasEmptied());
});

Deno.test("what is gone is seen by a look that does not read each server and set", async () => {
  const rig = new Rig([...web("10.244.0.1"), ...dns("10.244.0.2")]);
  await rig.syncAll();
  const { node, family } = rig;
  const losses: readonly (() => void)[] = [
    () => node.vips.delete("UDP 10.96.0.10:53"),
    () => node.device!.delete("10.96.0.1"),
    () => node.setsByName.get("KUBE-CLUSTER-IP")!.entries.clear(),
    () => node.setsByName.get("KUBE-HEALTH-CHECK-NODE-PORT")!.entries.clear(),
  ];
  for (const lose of losses) {
    assert.ok(!family.wasEmptied());
    lose();
    assert.ok(family.wasEmptied(), `${lose}`);
    await rig.syncAll();
  }
});

Deno.test("whoever asks during a sync hears of what is there after it", async () => {
  const rig = new Rig(web("10.244.0.1"));
  await rig.syncAll();
  const sync = rig.apply(...dns("10.244.0.2"));
  const asked = [rig.family.differences(), rig.family.read()] as const;
  await sync;
  assert.deepEqual(await asked[0], []);
  assert.ok((await asked[1]).state.servers.has("10.96.0.10:53/UDP"));
});

Deno.test("a TCP server with connections takes no more, and goes when they are over", async () => {
  const rig = new Rig(web("10.244.0.2", "10.244.0.4"));
  await rig.syncAll();
  rig.node.connect(WEB, "10.244.0.4:8080", 3);
  await rig.apply(slice("web", BACKEND, ["10.244.0.2"]));
  assert.deepEqual(rig.reals(), { "10.244.0.2": 1, "10.244.0.4": 0 });
  assert.deepEqual(rig.reals("TCP 203.0.113.1:80"), { "10.244.0.2": 1 }, "idle: gone at once");
  assert.equal(rig.family.settle(), 1);
  assert.deepEqual(await rig.family.differences(), [], "it is known to leave");
  assert.equal((await rig.syncAll()).lines, 0, "nothing is sent for it again");
  rig.node.connect(WEB, "10.244.0.4:8080", 0);
  assert.equal(rig.family.settle(), 0);
  assert.deepEqual(rig.reals(), { "10.244.0.2": 1 });
});

Deno.test("a server that comes back while it leaves keeps its connections", async () => {
  const rig = new Rig(web("10.244.0.2", "10.244.0.4"));
  await rig.syncAll();
  rig.node.connect(WEB, "10.244.0.4:8080", 3);
  await rig.apply(slice("web", BACKEND, ["10.244.0.2"]));
  rig.node.messages.length = 0;
  await rig.apply(slice("web", BACKEND, ["10.244.0.2", "10.244.0.4"]));
  assert.ok(rig.node.messages.includes(`update 10.244.0.4:8080 of ${WEB}`));
  assert.deepEqual(rig.reals(), { "10.244.0.2": 1, "10.244.0.4": 1 });
  assert.equal(rig.family.leaving, 0);
});

Deno.test("after a restart a server that left goes on leaving", async () => {
  for (const connections of [2, 0]) {
    const rig = new Rig(web("10.244.0.2", "10.244.0.4"));
    await rig.syncAll();
    rig.node.connect(WEB, "10.244.0.4:8080", 2);
    await rig.apply(slice("web", BACKEND, ["10.244.0.2"]));
    rig.node.connect(WEB, "10.244.0.4:8080", connections);
    rig.started();
    await rig.syncAll();
    assert.equal(rig.family.leaving, connections === 0 ? 0 : 1);
    assert.deepEqual(
      rig.reals(),
      connections === 0 ? { "10.244.0.2": 1 } : { "10.244.0.2": 1, "10.244.0.4": 0 },
    );
  }
});

Deno.test("a deadline ends what would not end, counted from when it began", async () => {
  const rig = new Rig(web("10.244.0.2", "10.244.0.4"), { gracefulDeadlineMs: 1000 });
  await rig.syncAll();
  rig.node.connect(WEB, "10.244.0.4:8080", 1);
  await rig.apply(slice("web", BACKEND, ["10.244.0.2"]));
  rig.now = 600;
  await rig.syncAll();
  assert.equal(rig.family.settle(), 1);
  rig.now = 1000;
  assert.equal(rig.family.settle(), 0);
  assert.deepEqual(rig.reals(), { "10.244.0.2": 1 });
});

Deno.test("a restart does not put a deadline off where it is known when it began", async () => {
  for (const [known, deadline] of [[true, 1000], [false, 1600]] as const) {
    const rig = new Rig(web("10.244.0.2", "10.244.0.4"), { gracefulDeadlineMs: 1000 });
    await rig.syncAll();
    rig.node.connect(WEB, "10.244.0.4:8080", 1);
    await rig.apply(slice("web", BACKEND, ["10.244.0.2"]));
    const since = rig.family.leavingSince;
    assert.deepEqual([...since.values()], [0]);
    rig.now = 600;
    rig.started(known ? since : undefined);
    // What is known is not lost by a sync that fails.
    for (const left of [0, 2, 4]) {
      rig.node.left = left;
      await rig.syncAll().catch((error) => assert.ok(error instanceof Killed));
    }
    rig.node.left = Infinity;
    await rig.syncAll();
    rig.now = deadline - 1;
    assert.equal(rig.family.settle(), 1);
    rig.now = deadline;
    assert.equal(rig.family.settle(), 0);
    assert.equal(rig.family.leavingSince.size, 0);
  }
});

Deno.test("of a server that came back while nobody looked, it is not known since when it left", async () => {
  const rig = new Rig(web("10.244.0.2", "10.244.0.4"), { gracefulDeadlineMs: 1000 });
  await rig.syncAll();
  rig.node.connect(WEB, "10.244.0.4:8080", 1);
  await rig.apply(slice("web", BACKEND, ["10.244.0.2"]));
  const since = rig.family.leavingSince;
  await rig.apply(slice("web", BACKEND, ["10.244.0.2", "10.244.0.4"]));
  rig.now = 5000;
  rig.started(since);
  await rig.syncAll();
  assert.equal(rig.family.leavingSince.size, 0);
  await rig.apply(slice("web", BACKEND, ["10.244.0.2"]));
  assert.deepEqual([...rig.family.leavingSince.values()], [5000]);
});

Deno.test("UDP servers go at once, and a Service that goes takes its connections with it", async () => {
  const rig = new Rig([...web("10.244.0.2"), ...dns("10.244.0.2", "10.244.0.4")]);
  await rig.syncAll();
  rig.node.connect("UDP 10.96.0.10:53", "10.244.0.4:53", 9);
  await rig.apply(slice("dns", [{ port: 53, protocol: "UDP" }], ["10.244.0.2"]));
  assert.deepEqual(rig.reals("UDP 10.96.0.10:53"), { "10.244.0.2": 1 });
  rig.node.connect(WEB, "10.244.0.2:8080", 5);
  await rig.delete(...web("10.244.0.2"));
  assert.ok(!rig.node.vips.has(WEB));
  assert.equal(rig.family.leaving, 0);
});

Deno.test("a Service that drops everything lets its last connections end", async () => {
  const local = service("web", "10.96.0.1", HTTP.map(({ nodePort: _, ...port }) => port), {
    internalTrafficPolicy: "Local",
  });
  const rig = new Rig([local, slice("web", BACKEND, ["10.244.0.1", "10.244.0.2"])]);
  await rig.syncAll();
  rig.node.connect(WEB, "10.244.0.1:8080", 1);
  await rig.apply(slice("web", BACKEND, ["10.244.0.2"]));
  assert.deepEqual([...rig.node.setsByName.get("KUBE-DROP")!.entries], ["10.96.0.1,tcp:80"]);
  assert.deepEqual(rig.reals(), { "10.244.0.1": 0 });
  assert.deepEqual(await rig.family.differences(), []);
  rig.started();
  await rig.syncAll();
  assert.deepEqual(rig.reals(), { "10.244.0.1": 0 });
  rig.node.connect(WEB, "10.244.0.1:8080", 0);
  assert.equal(rig.family.settle(), 0);
  assert.ok(!rig.node.vips.has(WEB));
});
