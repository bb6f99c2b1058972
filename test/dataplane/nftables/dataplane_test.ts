/** nftables mode on real tables, in network namespaces of its own, by netlink and by nft. */

import assert from "node:assert/strict";
import type { ClusterObject } from "../../../src/cluster/objects.ts";
import { RefusedTransaction } from "../../../src/dataplane/nftables/access.ts";
import { cleanupNftables } from "../../../src/dataplane/nftables/cleanup.ts";
import { TABLE } from "../../../src/dataplane/nftables/names.ts";
import { TableWatch } from "../../../src/netlink/netfilter/nftables/watch.ts";
import { until } from "../../until.ts";
import { toldBy } from "../netfilter_bed.ts";
import { everything, objects, renamed } from "../objects.ts";
import { accessTest, Bed } from "./bed.ts";

accessTest("what was written is read back as the same, in both families", async (bed) => {
  const plane = await bed.start();
  assert.deepEqual(await bed.tables(), [null, null]);
  const lines = await bed.update(plane, everything);
  assert.ok(lines > 500, `${lines} lines`);
  assert.deepEqual(bed.syncs.map(({ full }) => full), [true, true]);
  assert.deepEqual(await plane.drift(), []);
  assert.deepEqual(await plane.differences(), []);
  assert.equal(bed.learnt.length, 1);
  // A restart finds nothing to do.
  const again = await bed.start();
  await bed.compare(again);
  assert.equal(bed.lines, 0);
  assert.deepEqual(again.sent().map(({ text }) => text), ["", ""]);
});

accessTest("changes arrive one by one and end as a clean start does", async (bed) => {
  const plane = await bed.start();
  await bed.update(plane, []);
  for (const group of [...Object.values(objects.IPv4), ...Object.values(objects.IPv6)]) {
    await bed.update(plane, group.map(renamed));
    assert.deepEqual(bed.syncs.map(({ full }) => full), [false, false]);
  }
  await bed.update(plane, objects.IPv6["np-local"].map(renamed), "delete");
  await bed.update(plane, objects.IPv6["affinity"].slice(1).map(renamed), "delete");
  assert.deepEqual(bed.syncs.map(({ full }) => full), [false, false]);
  assert.deepEqual(await plane.drift(), []);
  const changed = await bed.tables();

  await using clean = new Bed(bed.by);
  const { plan } = bed.planner;
  await (await clean.start()).sync(plan, { node: plan.node, updated: [], removed: [] });
  assert.deepEqual(changed, await clean.tables());
});

accessTest("tables of others stay, also after cleanup, and ours all go", async (bed) => {
  await bed.nft(`
    add table inet ${TABLE}
    add chain inet ${TABLE} input { type filter hook input priority 0; }
    add rule inet ${TABLE} input tcp dport 22 accept
    add table ip other
    add chain ip other services
    add rule ip other services ip daddr 10.0.0.1 drop
    add set ip other cluster-ips { type ipv4_addr; }
    add element ip other cluster-ips { 10.0.0.1 }
  `);
  const before = await bed.listed();
  const plane = await bed.start();
  await bed.update(plane, everything);
  assert.ok((await bed.listed()).includes(before.trim()));
  assert.deepEqual(bed.namespace.run(cleanupNftables), []);
  assert.equal(await bed.listed(), before);
  // There is nothing to clean up, which is fine.
  assert.deepEqual(bed.namespace.run(cleanupNftables), []);
  assert.equal(await bed.listed(), before);
});

accessTest("what someone changes is told and repaired by the next full sync", async (bed) => {
  const plane = await bed.start();
  await bed.update(plane, objects.IPv4.plain);
  const right = await bed.tables();
  await bed.nft(`
    insert rule ip ${TABLE} services meta l4proto icmp accept
    flush chain ip6 ${TABLE} masquerading
    delete element ip ${TABLE} cluster-ips { 172.30.0.1 }
    add chain ip ${TABLE} intruder { type filter hook output priority -90; }
    add rule ip ${TABLE} intruder jump cluster-ips-check
    add map ip ${TABLE} more { type mark : verdict; }
    add element ip ${TABLE} more { 1 : goto cluster-ips-check }
    add rule ip ${TABLE} intruder meta mark vmap @more
  `);
  assert.deepEqual(
    (await plane.differences()).map(({ where, problem, found, expected }) =>
      [where, problem, found.length, expected.length].join(" ")
    ),
    [
      "ip kube-proxy chain services changed 1 0",
      "ip kube-proxy chain intruder unexpected 2 0",
      "ip kube-proxy set cluster-ips changed 0 1",
      "ip kube-proxy map more unexpected 0 0",
      "ip6 kube-proxy chain masquerading changed 0 3",
    ],
  );
  await bed.compare(plane);
  assert.deepEqual(bed.syncs.map(({ drift }) => drift.length), [4, 1]);
  assert.deepEqual(await bed.tables(), right);
});

accessTest(
  "base chains of an older kube-proxy, and a table put to sleep, are put right",
  async (bed) => {
    await bed.nft(`
    table ip ${TABLE} {
      comment "rules for kube-proxy"
      flags dormant
      set cluster-ips { type ipv4_addr; comment "Active ClusterIPs"; elements = { 172.30.9.9 }; }
      chain filter-input { type filter hook input priority -110; }
      chain filter-output-post-dnat { type filter hook output priority -90; jump service-1/x; }
      chain service-1/x { drop; }
    }
  `);
    const plane = await bed.start();
    await bed.update(plane, objects.IPv4.plain);
    assert.deepEqual(await plane.drift(), []);
    const [table] = await bed.tables();
    assert.deepEqual(table?.flags, []);
    assert.ok(!table?.chains.some(({ name }) => name === "service-1/x"));
  },
);

accessTest("a change that meets a table that someone emptied still arrives", async (bed) => {
  const plane = await bed.start();
  await bed.update(plane, objects.IPv4.plain);
  await bed.nft(`flush set ip ${TABLE} cluster-ips`);
  await bed.update(plane, objects.IPv4.plain.slice(0, 1), "delete");
  assert.equal(bed.syncs[0].full, true);
  assert.deepEqual(await plane.drift(), []);
  await bed.nft(`delete table ip ${TABLE}`);
  await bed.update(plane, objects.IPv4.plain);
  assert.deepEqual(await plane.drift(), []);
});

accessTest("a flush of the ruleset, or of the table alone, is noticed", async (bed) => {
  const plane = await bed.start({ watchPeriodMs: 50 });
  await bed.update(plane, objects.IPv4.plain);
  const right = await bed.tables();
  for (
    const [flush, families] of [["flush ruleset", 2], [`flush table ip6 ${TABLE}`, 1]] as const
  ) {
    bed.requested = 0;
    await bed.nft(flush);
    await until(() => bed.requested >= families, `syncs are asked for after ${flush}`);
    await plane.sync(bed.planner.plan, { node: null, updated: [], removed: [] });
    assert.deepEqual(await bed.tables(), right);
  }
});

accessTest(
  "what someone changes is noticed, and nothing that is done to other tables",
  async (bed) => {
    const plane = await bed.start({ noticePauseMs: 0, access: bed.open() });
    await bed.update(plane, objects.IPv4.affinity);
    const right = await bed.tables();
    const [service] = right[0]!.chains.filter(({ name }) => name.startsWith("service-"));
    const harms = [
      `flush set ip ${TABLE} cluster-ips`,
      `flush chain ip ${TABLE} ${service.name}`,
      `insert rule ip6 ${TABLE} services accept`,
      `delete table ip6 ${TABLE}`,
      "flush ruleset",
    ];
    for (const change of harms) {
      bed.requested = 0;
      await bed.nft(change);
      await until(() => bed.requested > 0, `a sync is asked for after ${change}`);
      await plane.sync(bed.planner.plan, { node: null, updated: [], removed: [] });
      assert.ok(bed.syncs.some(({ full, drift }) => full && drift.length > 0), change);
      assert.deepEqual(await bed.tables(), right);
    }
    bed.requested = 0;
    // What one sync and other tables change is told to this watch too, the last of it last.
    using told = bed.namespace.run(() => TableWatch.open());
    const changes = told.changes(0);
    const first = changes.next();
    await bed.update(plane, objects.IPv4.plain);
    await bed.nft("add table ip other");
    for (let next = await first; next.value?.table !== "other";) next = await changes.next();
    assert.equal(bed.requested, 0);
  },
  ["netlink"],
);

accessTest("a refused transaction says by which step and changes nothing", async (bed) => {
  const plane = await bed.start();
  await bed.update(plane, objects.IPv4.plain);
  const before = await bed.tables();
  const access = bed.open();
  const refused = access.apply({
    family: "ip",
    table: TABLE,
    operations: [
      { action: "flush-chain", name: "services" },
      { action: "delete-chain", name: "masquerading" },
    ],
  });
  await assert.rejects(refused, (error) => {
    assert.ok(error instanceof RefusedTransaction);
    const message = bed.by === "nft"
      ? /^nft: .*\bbusy\b.*\ndelete chain ip kube-proxy masquerading\n/
      : /^delete chain .*masquerading.*: EBUSY/;
    assert.match(error.message, message);
    return true;
  });
  await access.close();
  assert.deepEqual(await bed.tables(), before);
});

accessTest("a transaction whose making fails changes nothing", async (bed) => {
  const plane = await bed.start();
  await bed.update(plane, objects.IPv4.plain);
  const before = await bed.tables();
  function* operations() {
    yield { action: "flush-chain", name: "services" } as const;
    throw new Error("made no further");
  }
  const access = bed.open();
  const apply = access.apply({ family: "ip", table: TABLE, operations: operations() });
  await assert.rejects(apply, /made no further/);
  await access.close();
  assert.deepEqual(await bed.tables(), before);
});

accessTest("clients stay with their endpoints over a restart and other changes", async (bed) => {
  const plane = await bed.start();
  await bed.update(plane, objects.IPv4.affinity);
  const sets = async () =>
    (await bed.access.read("IPv4"))!.sets.filter(({ name }) => name.startsWith("affinity-"));
  const [first, second] = await sets();
  await bed.nft(`add element ip ${TABLE} ${second.name} { 10.9.9.9 }`);
  const remembered = async () =>
    (await sets()).map(({ elements }) => elements.map(({ key }) => JSON.stringify(key)));
  const before = await remembered();
  assert.equal(before.flat().length, 1);

  const again = await bed.start();
  await bed.compare(again);
  assert.equal(bed.lines, 0);
  await bed.update(again, objects.IPv4.plain);
  assert.deepEqual(await remembered(), before);
  assert.deepEqual(await again.drift(), []);

  // Another time makes them anew.
  const [service, ...slices] = objects.IPv4.affinity;
  const spec = {
    ...(service as Extract<ClusterObject, { kind: "Service" }>).spec,
    sessionAffinityConfig: { clientIP: { timeoutSeconds: 77 } },
  };
  await bed.update(again, [{ ...service, spec } as ClusterObject, ...slices]);
  assert.deepEqual(bed.syncs.map(({ full }) => full), [false, false]);
  assert.equal((await sets()).find(({ name }) => name === first.name)?.timeout, 77_000);
  assert.deepEqual(await again.drift(), []);
});

accessTest("networks of cluster IPs, once known, drop what nobody has", async (bed) => {
  const plane = await bed.start();
  await bed.update(plane, objects.IPv4.plain);
  await bed.run("ip", "link", "set", "lo", "up");
  await bed.run("ip", "route", "add", "172.30.0.0/16", "dev", "lo");
  // A datagram that the node's own rules stop is an error to its sender.
  const send = async (address: string) =>
    (await bed.runner.run("bash", ["-c", `echo > /dev/udp/${address}/53`])).stderr;
  assert.equal(await send("172.30.0.99"), "");
  assert.match(await send("172.30.0.1"), /Operation not permitted/);
  await bed.update(plane, [{
    kind: "ServiceCIDR",
    metadata: { name: "kubernetes" },
    spec: { cidrs: ["172.30.0.0/16", "fd00:10::/108"] },
  }]);
  assert.deepEqual(await plane.drift(), []);
  assert.deepEqual(
    [...(await bed.listed()).matchAll(/ip6? daddr (\S+) drop comment "Drop/g)].map(([, to]) => to),
    ["172.30.0.0/16", "fd00:10::/108"],
  );
  assert.match(await send("172.30.0.99"), /Operation not permitted/);
});

accessTest(
  "source ranges that overlap or adjoin are read back as they were written",
  async (bed) => {
    const plane = await bed.start();
    const ranges = [
      ["10.0.0.0/8", "10.1.0.0/16"],
      ["10.0.0.0/24", "10.0.1.0/24", "10.0.2.0/24"],
      ["0.0.0.0/0"],
      ["0.0.0.0/1", "128.0.0.0/1"],
      ["203.0.113.7/32", "203.0.113.8/32", "198.51.100.0/24"],
    ];
    await bed.update(
      plane,
      ranges.map((loadBalancerSourceRanges, index): ClusterObject => ({
        kind: "Service",
        metadata: { name: `lb-${index}`, namespace: "ns" },
        spec: {
          type: "LoadBalancer",
          clusterIP: `172.30.1.${index}`,
          ports: [{ name: "", protocol: "TCP", port: 80 }],
          loadBalancerSourceRanges,
        },
        status: { loadBalancer: { ingress: [{ ip: `192.0.2.${index}` }] } },
      })),
    );
    assert.equal((await bed.listed()).match(/chain firewall-[A-Z2-7]/g)?.length, ranges.length);
    assert.deepEqual(await plane.drift(), []);
  },
);

accessTest("it tells how each attempt went, and what was written", async (bed) => {
  const plane = await bed.start();
  const told = toldBy(plane);
  assert.equal(plane.lastSync("IPv4"), null);
  await bed.update(plane, objects.IPv4.plain);
  assert.deepEqual(told.splice(0), [
    "IPv4 full ok",
    "IPv6 full ok",
    "IPv4 0 forgotten",
    "IPv6 0 forgotten",
  ]);
  assert.match(
    plane.sent()[0].text,
    /^add table ip kube-proxy \{ comment "rules for kube-proxy"; \}$/m,
  );
  await bed.nft(`flush set ip ${TABLE} cluster-ips`);
  await bed.update(plane, objects.IPv4.plain.slice(0, 1), "delete");
  assert.deepEqual(told.slice(0, 3), ["IPv4 partial refused", "IPv4 full ok", "IPv6 partial ok"]);
});

accessTest("what older kernels take away later ends the same", async (bed) => {
  const plane = await bed.start({ removesChains: false });
  await bed.update(plane, [...objects.IPv4.plain, ...objects.IPv4.affinity]);
  await bed.update(plane, objects.IPv4.plain, "delete");
  await bed.update(plane, objects.IPv4.affinity.slice(1), "delete");
  const unused = async () =>
    (await bed.access.read("IPv4"))!.chains.filter(({ rules }) => rules.length === 0).length;
  assert.equal(await unused(), 4 + 4);
  assert.deepEqual(await plane.drift(), []);
  await until(async () => {
    await plane.sync(bed.planner.plan, { node: null, updated: [], removed: [] });
    return await unused() === 0;
  }, "unused chains are taken away");
  assert.deepEqual(await plane.drift(), []);
}, ["netlink"]);
