/** iptables mode on real tables, in network namespaces of its own, by both implementations. */

import assert from "node:assert/strict";
import type { Service } from "../../../src/cluster/objects.ts";
import { NodeRulesAccess, RestoreError } from "../../../src/dataplane/iptables/apply.ts";
import { cleanupIptables } from "../../../src/dataplane/iptables/cleanup.ts";
import { IptablesDataPlane } from "../../../src/dataplane/iptables/dataplane.ts";
import type { FamilySync } from "../../../src/dataplane/iptables/family.ts";
import {
  type Backend,
  detectPrograms,
  installedPrograms,
  ProgramRunner,
  type Programs,
} from "../../../src/dataplane/iptables/programs.ts";
import { readSysctl } from "../../../src/linux/sysctl.ts";
import type { Family } from "../../../src/net/address.ts";
import { requires } from "../../requirements.ts";
import { until } from "../../until.ts";
import { NetfilterBed, toldBy } from "../netfilter_bed.ts";
import { everything, objects, renamed } from "../objects.ts";
import { testPlanner } from "./plans.ts";
import { holdXtablesLock } from "./xtables_lock.ts";

/** Runs programs without CAP_NET_RAW, as a container may have to. */
class UnprivilegedRunner extends ProgramRunner {
  override run(program: string, args: readonly string[]) {
    const rights = ["--inh-caps=-all", "--bounding-set=-all,+net_admin"];
    return super.run("setpriv", [...rights, program, ...args]);
  }
}

/** A node with an implementation of iptables. */
class Bed extends NetfilterBed<IptablesDataPlane, FamilySync> {
  constructor(readonly backend: Backend) {
    super(testPlanner());
  }

  async start(): Promise<IptablesDataPlane> {
    const { backend } = this;
    const options = { ...this.options(), backend, canaryPeriodMs: 50 };
    const plane = await IptablesDataPlane.start(options);
    this.planes.push(plane);
    return plane;
  }

  async programs(): Promise<Programs> {
    const found = await installedPrograms(this.runner);
    return found.find(({ backend }) => backend === this.backend)!;
  }

  /** iptables-save without what differs from time to time. */
  async saved(family: Family): Promise<string> {
    const text = await new NodeRulesAccess(this.runner, await this.programs()).read(family);
    return text.split("\n").filter((line) => !line.startsWith("#"))
      .map((line) => line.replace(/\[\d+:\d+\]/, "[0:0]")).join("\n");
  }

  async iptables(...args: string[]): Promise<void> {
    const name = `iptables${(await this.programs()).suffix}`;
    const { code, stderr } = await this.runner.run(name, ["-w", "5", ...args]);
    assert.equal(code, 0, stderr);
  }
}

function backendTest(name: string, fn: (bed: Bed) => Promise<void>): void {
  for (const backend of ["nft", "legacy"] as const) {
    Deno.test({
      ...requires(
        `iptables (${backend}): ${name}`,
        "root",
        "netns",
        `iptables-${backend}`,
        `ip6tables-${backend}`,
      ),
      async fn() {
        await using bed = new Bed(backend);
        await fn(bed);
      },
    });
  }
}

backendTest("what was written is read back as the same, in both families", async (bed) => {
  const plane = await bed.start();
  assert.deepEqual(plane.families, ["IPv4", "IPv6"]);
  const lines = await bed.update(plane, everything);
  assert.ok(lines > 500, `${lines} lines`);
  assert.deepEqual(bed.syncs.map(({ full }) => full), [true, true]);
  assert.deepEqual(await plane.drift(), []);
  assert.equal(bed.learnt.length, 1);
  // A restart finds nothing to do.
  const again = await bed.start();
  await again.sync(bed.planner.plan, { node: bed.planner.plan.node, updated: [], removed: [] });
  assert.equal(bed.lines, 0);
  const sysctl = bed.namespace.run(() => readSysctl("net.ipv4.conf.all.route_localnet"));
  assert.equal(sysctl, "1");
  assert.match(await bed.saved("IPv4"), /nfacct-name +ct_state_invalid_dropped_pkts/);
});

backendTest("changes arrive one by one and end as a clean start does", async (bed) => {
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
  const changed = [await bed.saved("IPv4"), await bed.saved("IPv6")];

  await using clean = new Bed(bed.backend);
  const cleanPlane = await clean.start();
  await cleanPlane.sync(bed.planner.plan, {
    node: bed.planner.plan.node,
    updated: [],
    removed: [],
  });
  const sorted = (text: string) => text.split("\n").sort();
  assert.deepEqual(sorted(changed[0]), sorted(await clean.saved("IPv4")));
  assert.deepEqual(sorted(changed[1]), sorted(await clean.saved("IPv6")));
});

backendTest("rules of others stay, also after cleanup, and ours all go", async (bed) => {
  await bed.iptables("-t", "nat", "-N", "CNI-HOSTPORT");
  await bed.iptables("-t", "nat", "-A", "PREROUTING", "-j", "CNI-HOSTPORT");
  await bed.iptables(
    ..."-A INPUT -p tcp --dport 22 -m comment --comment".split(" "),
    'a "b"',
    "-j",
    "ACCEPT",
  );
  await bed.iptables(..."-t mangle -A FORWARD -m comment --comment".split(" "), "two\nlines");
  const before = await bed.saved("IPv4");
  const plane = await bed.start();
  await bed.update(plane, everything);
  const own = /KUBE-/;
  const foreign = (text: string) => text.split("\n").filter((line) => !own.test(line)).sort();
  const withRules = await bed.saved("IPv4");
  for (const line of foreign(before)) assert.ok(withRules.includes(line), line);

  assert.deepEqual(await cleanupIptables(bed.runner), []);
  const after = await bed.saved("IPv4");
  for (const line of foreign(before)) assert.ok(after.includes(line), line);
  const left = after.split("\n").filter((line) => own.test(line));
  assert.deepEqual(left.filter((line) => !line.includes("KUBE-FIREWALL")), []);
  const left6 = (await bed.saved("IPv6")).split("\n").filter((line) => own.test(line));
  assert.deepEqual(left6.filter((line) => !line.includes("KUBE-FIREWALL")), []);
});

backendTest("a chain that foreign rules use is emptied by cleanup and stays", async (bed) => {
  const plane = await bed.start();
  await bed.update(plane, []);
  await bed.iptables("-t", "nat", "-A", "POSTROUTING", "-j", "KUBE-MARK-MASQ");
  assert.deepEqual(await cleanupIptables(bed.runner), []);
  const saved = await bed.saved("IPv4");
  assert.match(saved, /^-A POSTROUTING -j KUBE-MARK-MASQ$/m);
  assert.doesNotMatch(saved, /^-A KUBE-MARK-MASQ/m);
});

backendTest("what someone changes is told and repaired by the next full sync", async (bed) => {
  const plane = await bed.start();
  await bed.update(plane, objects.IPv4.plain);
  const right = await bed.saved("IPv4");
  await bed.iptables("-t", "nat", "-I", "KUBE-SERVICES", "-p", "icmp", "-j", "ACCEPT");
  await bed.iptables("-D", "KUBE-FORWARD", "1");
  await bed.iptables("-t", "nat", "-D", "PREROUTING", "1");
  assert.deepEqual(
    (await plane.drift()).map(({ table, chain, problem, missing, unexpected }) =>
      [table, chain, problem, missing.length, unexpected.length].join(" ")
    ),
    [
      "filter KUBE-FORWARD changed 1 0",
      "nat KUBE-SERVICES changed 0 1",
      "nat PREROUTING changed 1 0",
    ],
  );
  await plane.sync(bed.planner.plan, { node: bed.planner.plan.node, updated: [], removed: [] });
  assert.equal(bed.syncs[0].drift.length, 3);
  assert.equal(await bed.saved("IPv4"), right);
});

backendTest("a change that meets chains that someone removed still arrives", async (bed) => {
  const plane = await bed.start();
  await bed.update(plane, objects.IPv4.plain);
  await bed.iptables("-t", "nat", "-F", "KUBE-SERVICES");
  const service = objects.IPv4.plain[0];
  await bed.update(plane, [service], "delete");
  assert.equal(bed.syncs[0].full, true);
  assert.deepEqual(await plane.drift(), []);
});

backendTest("a flush of the tables is noticed", async (bed) => {
  const plane = await bed.start();
  await bed.update(plane, objects.IPv4.plain);
  const right = await bed.saved("IPv4");
  for (const table of ["filter", "nat", "mangle"]) {
    await bed.iptables("-t", table, "-F");
    await bed.iptables("-t", table, "-X");
  }
  await until(() => bed.requested > 0, "a sync is asked for");
  await plane.sync(bed.planner.plan, { node: null, updated: [], removed: [] });
  assert.equal(await bed.saved("IPv4"), right);
});

backendTest("a refused text is reported by its line and changes nothing", async (bed) => {
  const plane = await bed.start();
  await bed.update(plane, objects.IPv4.plain);
  const before = await bed.saved("IPv4");
  const access = new NodeRulesAccess(bed.runner, await bed.programs());
  const refused = async (line: string, number: number) => {
    const text = `*nat\n:KUBE-SVC-AAAAAAAAAAAAAAAA - [0:0]\n${line}\nCOMMIT\n`;
    await assert.rejects(access.restore("IPv4", text), (error) => {
      assert.ok(error instanceof RestoreError);
      assert.equal(error.line, number, error.message);
      assert.doesNotMatch(error.message, /\n/);
      return true;
    });
    assert.equal(await bed.saved("IPv4"), before);
  };
  await refused("-A KUBE-SVC-AAAAAAAAAAAAAAAA --bogus", 3);
  await refused("-D KUBE-SERVICES -j ACCEPT", 3);
  await refused("-I KUBE-SERVICES 77 -j ACCEPT", 3);
});

backendTest("without other hints, the implementation that has rules is the node's", async (bed) => {
  assert.equal((await detectPrograms(bed.runner)).backend, "nft");
  await bed.iptables("-A", "INPUT", "-j", "ACCEPT");
  assert.equal((await detectPrograms(bed.runner)).backend, bed.backend);
  if (bed.backend === "legacy") {
    await assert.rejects(
      detectPrograms(new UnprivilegedRunner(bed.runner.namespace)),
      /^Error: the node has tables of legacy iptables, .*Permission denied.*CAP_NET_RAW$/,
    );
  }
});

Deno.test({
  ...requires(
    "iptables (legacy): the lock that another holds for a second is waited for",
    "root",
    "netns",
    "flock",
    "iptables-legacy",
  ),
  async fn() {
    await using bed = new Bed("legacy");
    const plane = await bed.start();
    const release = await holdXtablesLock(bed.namespace);
    let arrived = false;
    const arriving = bed.update(plane, objects.IPv4.plain).then(() => arrived = true);
    await new Promise((resolve) => setTimeout(resolve, 1000));
    assert.equal(arrived, false, "the lock was not held");
    await release();
    await arriving;
    assert.deepEqual(await plane.drift(), []);
  },
});

backendTest("it tells how each attempt went, and what was written", async (bed) => {
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
  await bed.iptables("-t", "nat", "-F", "KUBE-SERVICES");
  await bed.update(plane, objects.IPv4.plain.slice(0, 1), "delete");
  assert.deepEqual(told.slice(0, 3), ["IPv4 partial refused", "IPv4 full ok", "IPv6 partial ok"]);
  // The one rule that every node has in the chain; the Service's chains go without their rules.
  assert.deepEqual(plane.lastSync("IPv4")?.written, { filter: 0, nat: 1 });
});

backendTest("packets to node ports on loopback are counted", async (bed) => {
  const plane = await bed.start();
  await bed.update(plane, objects.IPv4.np);
  const port = (objects.IPv4.np[0] as Service).spec.ports[0].nodePort;
  assert.deepEqual([...plane.countedPackets()], [
    ["ct_state_invalid_dropped_pkts", 0n],
    ["localhost_nps_accepted_pkts", 0n],
  ]);
  await bed.runner.run("ip", ["link", "set", "lo", "up"]);
  // The server is nowhere, so that nothing ever answers.
  const dial = `: < /dev/tcp/127.0.0.1/${port}`;
  const counted = () => plane.countedPackets().get("localhost_nps_accepted_pkts")!;
  const dialling = bed.namespace.run(() =>
    new Deno.Command("bash", { args: ["-c", dial] }).spawn()
  );
  await until(() => counted() > 0n, "a packet is counted");
  dialling.kill("SIGKILL");
  await dialling.status;
});
