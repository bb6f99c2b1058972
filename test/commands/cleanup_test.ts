/** `cleanup` as a process of its own, on nodes that are network namespaces. */

import assert from "node:assert/strict";
import { IptablesDataPlane } from "../../src/dataplane/iptables/dataplane.ts";
import { type Backend, ProgramRunner } from "../../src/dataplane/iptables/programs.ts";
import { LocalEngine } from "../../src/engine/local.ts";
import { NetworkNamespace } from "../../src/linux/namespace.ts";
import { Rtnetlink } from "../../src/netlink/route/rtnetlink.ts";
import type { RuleSpec } from "../../src/netlink/route/rules.ts";
import { testPlanner } from "../dataplane/iptables/plans.ts";
import { requires } from "../requirements.ts";
import { apply, service, slice } from "../services/objects.ts";
import { type Run, runProgram, taskPermissions } from "./cli.ts";

/** Runs it in a namespace, with the task's own permissions. */
async function cleanup(namespace: NetworkNamespace, ...command: string[]): Promise<Run> {
  const permissions = await taskPermissions(command[0] === "run" ? "run" : "cleanup");
  return await runProgram(permissions, command, "", namespace);
}

async function save(runner: ProgramRunner, program: string): Promise<string[]> {
  const { stdout } = await runner.run(program, []);
  return stdout.split("\n").filter((line) => /^[-:]/.test(line))
    .map((line) => line.replace(/ \[.*/, "")).sort();
}

for (const backend of ["nft", "legacy"] as const) {
  Deno.test({
    ...requires(
      `cleanup takes a proxy's rules and leaves all others: ${backend}`,
      "root",
      "netns",
      `iptables-${backend}`,
      `ip6tables-${backend}`,
    ),
    fn: () => cleansRules(backend),
  });
}

async function cleansRules(backend: Backend): Promise<void> {
  using namespace = NetworkNamespace.create();
  const runner = new ProgramRunner(namespace);
  const programs = [`iptables-${backend}`, `ip6tables-${backend}`];
  const saved = async () =>
    (await Promise.all(
      programs.map((program) => save(runner, `${program}-save`)),
    )).flat();
  for (const program of programs) {
    await runner.run(program, "-t nat -N OTHER".split(" "));
    await runner.run(program, "-t nat -A PREROUTING -j OTHER".split(" "));
  }
  const before = await saved();
  assert.ok(before.includes("-A PREROUTING -j OTHER"));

  const plane = await IptablesDataPlane.start({
    engine: LocalEngine.create(),
    families: ["IPv4", "IPv6"],
    namespaceFd: namespace.fd,
    backend,
    canaryPeriodMs: 0,
  });
  const planner = testPlanner();
  const change = planner.update(apply(
    service("web"),
    slice("web", ["10.180.0.1"]),
  ));
  await plane.sync(planner.plan, change);
  await plane.stop();
  assert.ok((await saved()).some((line) => line.startsWith(":KUBE-SVC-")));

  const { code, stdout, stderr } = await cleanup(namespace, "cleanup");
  assert.deepEqual([code, stdout, stderr], [0, "", ""]);
  // The kubelet has this chain too.
  const left = (await saved()).filter((line) => !line.includes("KUBE-FIREWALL"));
  const kernel = /^:(INPUT|OUTPUT|FORWARD|PREROUTING|POSTROUTING) /;
  assert.deepEqual(
    left.filter((line) => !kernel.test(line)),
    before.filter((line) => !kernel.test(line)),
  );
}

Deno.test({
  ...requires(
    "cleanup takes policy rules of userspace mode, tables of nftables mode, and leaves all others",
    "root",
    "netns",
    "nft",
  ),
  async fn() {
    using namespace = NetworkNamespace.create();
    const rules = () => {
      using net = Rtnetlink.open();
      return net.rules.list({ family: "IPv4" });
    };
    const before = namespace.run(rules);
    const foreign: RuleSpec = { family: "IPv4", priority: 90, table: 7, origin: "static" };
    namespace.run(() => {
      using net = Rtnetlink.open();
      // As a process leaves it that is killed: the local table's rule is not where Linux has it.
      net.rules.ensure({ family: "IPv4", priority: 99, table: 255, origin: "kernel" });
      net.rules.ensure({ family: "IPv4", priority: 90, table: 10256, origin: "kernel" });
      net.rules.removeAll({ family: "IPv4", priority: 0, action: "lookup", table: 255 });
      net.rules.ensure(foreign);
    });
    const nft = async (args: string[], input = "") =>
      (await new ProgramRunner(namespace).run("nft", args, input)).stdout;
    const others = "table inet kube-proxy {\n}\ntable ip other {\n}\n";
    await nft(["-f", "-"], `${others}table ip kube-proxy {\n}\ntable ip6 kube-proxy {\n}\n`);
    const { code, stderr } = await cleanup(namespace, "run", "--cleanup");
    assert.equal(await nft(["list", "ruleset"]), others);
    assert.equal(code, 0, stderr);
    const left = namespace.run(rules);
    assert.deepEqual(left.filter(({ table }) => table !== 7), before);
    assert.equal(left.filter(({ table }) => table === 7).length, 1);
    // Once more there is nothing to do.
    assert.equal((await cleanup(namespace, "run", "--cleanup")).code, 0);
    assert.deepEqual(namespace.run(rules), left);
  },
});

Deno.test("cleanup takes no arguments", async () => {
  const { code, stderr } = await runProgram([], ["cleanup", "extra"]);
  assert.equal(code, 2);
  assert.match(stderr, /^switchyard: unexpected argument "extra": expected only flags\n$/);
});
