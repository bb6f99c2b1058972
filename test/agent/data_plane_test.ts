/** Which data plane a node gets, on nodes that are network namespaces. */

import assert from "node:assert/strict";
import { openDataPlane } from "../../src/agent/data_plane.ts";
import { parseCommandLine } from "../../src/config/config.ts";
import { ProgramRunner } from "../../src/dataplane/iptables/programs.ts";
import { tryIptables } from "../../src/dataplane/iptables/trial.ts";
import { NetworkNamespace } from "../../src/linux/namespace.ts";
import { Rtnetlink } from "../../src/netlink/route/rtnetlink.ts";
import { findFamily } from "../../src/netlink/generic/family.ts";
import { NETLINK_GENERIC, NetlinkSocket } from "../../src/netlink/socket.ts";
import { web } from "../api/real_state.ts";
import { testPlanner } from "../dataplane/iptables/plans.ts";
import { requires } from "../requirements.ts";

const config = (...args: string[]) => parseCommandLine(args, "run", () => "node-a").config;

function kernelHasIpvs(): boolean {
  using socket = NetlinkSocket.open(NETLINK_GENERIC);
  return findFamily(socket, "IPVS") !== null;
}

async function opened(namespace: NetworkNamespace, args: string[], noPrograms?: string) {
  const { dataPlane, note } = await openDataPlane(config(...args), {
    namespaceFd: namespace.fd,
    noPrograms: noPrograms ?? null,
  });
  await dataPlane.stop();
  return { mode: dataPlane.mode, note };
}

Deno.test({
  ...requires(
    "the mode is the one asked for, else the best that works",
    "root",
    "netns",
    "tun",
    "iptables",
  ),
  async fn() {
    using namespace = NetworkNamespace.create();
    assert.deepEqual(await opened(namespace, []), {
      mode: "iptables",
      note: "proxy mode iptables",
    });
    assert.deepEqual(await opened(namespace, [], "nobody wants it"), {
      mode: "userspace",
      note: "proxy mode userspace, as nobody wants it",
    });
    for (const mode of ["iptables", "nftables", "userspace"]) {
      assert.deepEqual(await opened(namespace, [`--proxy-mode=${mode}`]), { mode, note: null });
    }
    await assert.rejects(opened(namespace, ["--proxy-mode=iptables"], "nobody wants it"), {
      message: "nobody wants it",
    });
  },
});

Deno.test({
  ...requires(
    "where ipvs mode does not work the next best is taken, unless that is refused",
    "root",
    "netns",
    "tun",
    "iptables",
  ),
  async fn() {
    // On a kernel with IPVS there is nothing to fall back from: see test/dataplane/ipvs.
    if (kernelHasIpvs()) return;
    using namespace = NetworkNamespace.create();
    const why = /^proxy mode iptables, as ipvs mode does not work here: .*the kernel has no IPVS/;
    const iptables = await opened(namespace, ["--proxy-mode=ipvs"]);
    assert.equal(iptables.mode, "iptables");
    assert.match(iptables.note!, why);
    const userspace = await opened(namespace, ["--proxy-mode=ipvs"], "nobody wants it");
    assert.deepEqual(userspace, {
      mode: "userspace",
      note: "proxy mode userspace, as ipvs mode does not work here: nobody wants it",
    });
    await assert.rejects(
      opened(namespace, ["--proxy-mode=ipvs", "--proxy-mode-strict"]),
      /^Error: ipvs mode does not work here: /,
    );
  },
});

Deno.test({
  ...requires("userspace mode has room for as many connections as asked", "root", "netns", "tun"),
  async fn() {
    using namespace = NetworkNamespace.create();
    const asked = config(
      "--proxy-mode=userspace",
      "--conntrack-max-per-core=1",
      "--conntrack-min=7000",
    );
    const { dataPlane } = await openDataPlane(asked, {
      namespaceFd: namespace.fd,
      noPrograms: "nobody wants it",
    });
    assert.equal((await dataPlane.engine.counters()).connections.limit, 7000);
    await dataPlane.stop();
  },
});

Deno.test({
  ...requires("what another mode left is taken away", "root", "netns", "tun", "iptables", "nft"),
  async fn() {
    using namespace = NetworkNamespace.create();
    const runner = new ProgramRunner(namespace);
    const priorities = () =>
      namespace.run(() => {
        using net = Rtnetlink.open();
        return net.rules.list({ family: "IPv4" }).map(({ priority }) => priority);
      });
    const before = priorities();
    namespace.run(() => {
      using net = Rtnetlink.open();
      net.rules.ensure({ family: "IPv4", priority: 90, table: 10256, origin: "kernel" });
    });
    const others = "table ip other {\n}\n";
    await runner.run(
      "nft",
      ["-f", "-"],
      `table ip kube-proxy {}\ntable ip6 kube-proxy {}\n${others}`,
    );
    await opened(namespace, ["--proxy-mode=iptables"]);
    assert.deepEqual(priorities(), before);
    assert.equal((await runner.run("nft", ["list", "ruleset"])).stdout, others);
    await runner.run("iptables", ["-t", "nat", "-N", "KUBE-SERVICES"]);
    await opened(namespace, ["--proxy-mode=userspace"]);
    const { stdout } = await runner.run("iptables-save", []);
    assert.doesNotMatch(stdout, /KUBE-/);
  },
});

Deno.test({
  ...requires("modes take each other's place on a node", "root", "netns", "tun", "iptables", "nft"),
  async fn() {
    using namespace = NetworkNamespace.create();
    const runner = new ProgramRunner(namespace);
    const programmed = async () => {
      const { stdout: saved } = await runner.run("iptables-save", []);
      const { stdout: tables } = await runner.run("nft", ["list", "tables"]);
      return [/^:KUBE-SVC-/m.test(saved), /^table ip6? kube-proxy$/m.test(tables)];
    };
    for (const mode of ["iptables", "nftables", "iptables", "nftables", "userspace"]) {
      const { dataPlane } = await openDataPlane(config(`--proxy-mode=${mode}`), {
        namespaceFd: namespace.fd,
        noPrograms: null,
      });
      const planner = testPlanner();
      const change = planner.update(web().map((object) => ({ action: "apply", object })));
      await dataPlane.sync(planner.plan, change);
      await dataPlane.stop();
      assert.deepEqual(await programmed(), [mode === "iptables", mode === "nftables"], mode);
    }
  },
});

for (const program of ["iptables-nft", "iptables-legacy"]) {
  Deno.test({
    ...requires(`a trial leaves nothing in the tables: ${program}`, "root", "netns", program),
    async fn() {
      using namespace = NetworkNamespace.create();
      const runner = new ProgramRunner(namespace);
      // A rule, so that this is the implementation which is tried.
      await runner.run(program, "-A INPUT -s 192.0.2.1 -j ACCEPT".split(" "));
      assert.deepEqual(await tryIptables(runner, ["IPv4", "IPv6"]), {
        usable: ["IPv4", "IPv6"],
        problems: [],
      });
      const { stdout } = await runner.run(`${program}-save`, []);
      assert.match(stdout, /192\.0\.2\.1/);
      assert.match(stdout, /\*nat/);
      assert.doesNotMatch(stdout, /TRIAL/);
    },
  });
}
