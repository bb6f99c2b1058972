/** The agent as a process of its own in nftables mode, on a node that is a network namespace. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import type { DiffAnswer } from "../../src/api/diff.ts";
import type { HistoryEntryView } from "../../src/api/history.ts";
import { askJson, callServer } from "../../src/commands/api_caller.ts";
import { ProgramRunner } from "../../src/dataplane/iptables/programs.ts";
import { NetworkNamespace } from "../../src/linux/namespace.ts";
import { requires } from "../requirements.ts";
import { until } from "../until.ts";
import { EXAMPLES } from "./cli.ts";
import { Program } from "./processes.ts";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const ARGUMENTS = [
  MAIN,
  "run",
  `--manifests=${EXAMPLES}`,
  "--hostname-override=lab-node",
  "--node-ip=192.168.50.10,fd00:50::10",
  "--proxy-mode=nftables",
  "--output=json",
  ...["healthz", "metrics", "api"].map((name) => `--${name}-bind-address=`),
];

Deno.test({
  ...requires(
    "run in nftables mode takes an iptables proxy's place, repairs the table, and leaves it",
    ...["root", "netns", "iptables", "nft"],
  ),
  async fn() {
    using namespace = NetworkNamespace.create();
    const runner = new ProgramRunner(namespace);
    const list = async () => (await runner.run("nft", ["list", "ruleset"])).stdout;
    await runner.run("iptables", ["-t", "nat", "-N", "KUBE-SERVICES"]);
    const folder = await Deno.makeTempDir();
    const program = new Program(
      [
        ...ARGUMENTS,
        "--iptables-masquerade-bit=15",
        "--iptables-sync-period=100ms",
        "--iptables-min-sync-period=0s",
        "--cluster-cidr=10.244.0.0/16,fd00:10:244::/56",
        `--api-unix-socket=${folder}/api`,
      ],
      {},
      namespace,
    );
    const caller = await callServer(new URL(`unix:${folder}/api`), null);
    try {
      const serving = JSON.parse(await program.line());
      assert.deepEqual([serving.mode, serving.programming], ["nftables", true]);
      const text = await list();
      assert.match(text, /^table ip6 kube-proxy \{$/m);
      assert.match(text, /^\t\tmeta mark set meta mark \| 0x00008000$/m);
      const marked =
        /ip daddr 10\.0\.1\.175 ip saddr != 10\.244\.0\.0\/16 jump mark-for-masquerade/;
      assert.match(text, marked);
      assert.doesNotMatch(text, /KUBE-SERVICES/);

      const verified = await askJson<DiffAnswer>(caller, "/api/v1/diff?verify=true");
      assert.deepEqual([verified.mode, verified.differences], ["nftables", []]);
      assert.deepEqual([verified.verification!.rules, verified.verification!.disputes], [
        "node",
        [],
      ]);
      assert.ok(verified.verification!.asked > 40);
      const { sent } = await askJson<HistoryEntryView>(caller, "/api/v1/history/1");
      assert.match(sent[0].text, /^add table ip kube-proxy /);
      const metrics = await (await caller.request("/metrics")).text();
      const failures = "kubeproxy_sync_proxy_rules_nftables_sync_failures_total";
      assert.match(metrics, new RegExp(`^${failures}\\{ip_family="IPv6"\\} 0$`, "m"));

      assert.equal((await runner.run("nft", ["flush", "ruleset"])).code, 0);
      const ready = async () => /^table ip6 kube-proxy \{$/m.test(await list());
      await until(ready, "the tables are there again");
      program.signal("SIGTERM");
      const { code, stderr } = await program.end();
      assert.equal(code, 0, stderr);
      assert.match(stderr, /the table was removed|someone changed our rules/);
      assert.doesNotMatch(stderr, /without effect/);
      assert.ok(await ready(), "traffic goes on without the agent");
    } finally {
      caller.close();
      await program.kill();
      await Deno.remove(folder, { recursive: true });
    }
  },
});
