/** The agent as a process of its own in iptables mode, on a node that is a network namespace. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
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
  "--output=json",
  ...["healthz", "metrics", "api"].map((name) => `--${name}-bind-address=`),
];

Deno.test({
  ...requires(
    "run programs the node by its flags, repairs it, and leaves the rules",
    "root",
    "netns",
    "iptables",
  ),
  async fn() {
    using namespace = NetworkNamespace.create();
    const runner = new ProgramRunner(namespace);
    const nat = async () => (await runner.run("iptables-save", ["-t", "nat"])).stdout;
    const chain = ":KUBE-SVC-NWV5X2332I4OT4T3 ";
    const program = new Program(
      [
        ...ARGUMENTS,
        "--proxy-mode=iptables",
        "--iptables-masquerade-bit=15",
        "--iptables-localhost-nodeports=false",
        "--iptables-sync-period=100ms",
        "--iptables-min-sync-period=0s",
        "--detect-local-mode=InterfaceNamePrefix",
        "--pod-interface-name-prefix=veth",
      ],
      {},
      namespace,
    );
    try {
      const serving = JSON.parse(await program.line());
      assert.deepEqual([serving.mode, serving.programming], ["iptables", true]);
      const text = await nat();
      assert.ok(text.includes(chain));
      assert.match(text, /^-A KUBE-MARK-MASQ -j MARK --set-xmark 0x8000\/0x8000$/m);
      assert.match(text, / ! -i veth\+ /);
      assert.match(text, /^-A KUBE-SERVICES ! -d 127\.0\.0\.0\/8 /m);

      const empty = ["mangle", "nat", "filter"].map((table) => `*${table}\nCOMMIT\n`).join("");
      assert.equal((await runner.run("iptables-restore", ["-w", "5"], empty)).code, 0);
      await until(async () => (await nat()).includes(chain), "the rules are there again");
      program.signal("SIGTERM");
      const { code, stderr } = await program.end();
      assert.equal(code, 0, stderr);
      assert.match(stderr, /tables were flushed/);
      assert.doesNotMatch(stderr, /without effect/);
      assert.ok((await nat()).includes(chain), "traffic goes on without the agent");
    } finally {
      await program.kill();
    }
  },
});

Deno.test({
  ...requires("without iptables, run says so and is in userspace mode", "root", "netns", "tun"),
  async fn() {
    using namespace = NetworkNamespace.create();
    const program = new Program(ARGUMENTS, { PATH: "/nowhere" }, namespace);
    try {
      const serving = JSON.parse(await program.line());
      assert.deepEqual([serving.mode, serving.programming], ["userspace", true]);
      program.signal("SIGTERM");
      const { code, stderr } = await program.end();
      assert.equal(code, 0, stderr);
      assert.match(stderr, /proxy mode userspace, as iptables is not installed\n/);
    } finally {
      await program.kill();
    }
  },
});

Deno.test({
  ...requires("iptables mode asked for by name is had or nothing", "root", "netns", "tun"),
  async fn() {
    using namespace = NetworkNamespace.create();
    const args = [...ARGUMENTS, "--proxy-mode=iptables"];
    const { code, stderr } = await new Program(args, { PATH: "/nowhere" }, namespace).end();
    assert.equal(code, 1);
    assert.match(
      stderr,
      /^switchyard: this node cannot be programmed: iptables is not installed; /,
    );
  },
});

Deno.test({
  ...requires("manifests that are not there leave the node as it was", "root", "netns", "iptables"),
  async fn() {
    using namespace = NetworkNamespace.create();
    const runner = new ProgramRunner(namespace);
    const node = async () =>
      [
        await runner.run("cat", ["/proc/sys/net/netfilter/nf_conntrack_tcp_timeout_close_wait"]),
        await runner.run("iptables-save", []),
      ].map(({ stdout }) => stdout);
    const before = await node();
    const args = [MAIN, "run", "--manifests=/nowhere"];
    const { code, stderr } = await new Program(args, {}, namespace).end();
    assert.deepEqual(
      [code, stderr],
      [2, "switchyard: --manifests: /nowhere: no such file or folder\n"],
    );
    assert.deepEqual(await node(), before);
  },
});
