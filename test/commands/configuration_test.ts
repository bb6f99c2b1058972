/** The agent as a process with a configuration file. */

import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import { NetworkNamespace } from "../../src/linux/namespace.ts";
import { readSysctl } from "../../src/linux/sysctl.ts";
import { requires } from "../requirements.ts";
import { until } from "../until.ts";
import { EXAMPLES, runProgram, taskPermissions } from "./cli.ts";
import { Program } from "./processes.ts";

const MAIN = fileURLToPath(new URL("../../src/main.ts", import.meta.url));
const HEAD = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";

/** Addresses that only a namespace of its own has free. */
const QUIET = `${HEAD}healthzBindAddress: 127.0.0.1:1
metricsBindAddress: 127.0.0.1:2
`;

async function withFolder(test: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await test(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const run = async (...args: string[]) => await runProgram(await taskPermissions("run"), args);

Deno.test("--write-config-to writes what flags and file make, which --config takes again", () =>
  withFolder(async (folder) => {
    const [first, second] = [`${folder}/first.yaml`, `${folder}/second.yaml`];
    const flags = ["--cluster-cidr=10.244.0.0/16", "--ipvs-min-sync-period=2s", "--v=3"];
    const written = await run("--write-config-to", first, ...flags);
    assert.deepEqual([written.code, written.stdout, written.stderr], [0, "", ""]);
    const text = await Deno.readTextFile(first);
    assert.match(text, /^clusterCIDR: 10\.244\.0\.0\/16$/m);
    assert.match(text, /^ {2}minSyncPeriod: 2s$/m);
    assert.equal((await run(`--config=${first}`, `--write-config-to=${second}`)).code, 0);
    // What the mode that is not chosen would do is not kept.
    assert.equal(
      await Deno.readTextFile(second),
      text.replace(/minSyncPeriod: 2s/, "minSyncPeriod: 0s"),
    );
    const failed = await run("--write-config-to", `${folder}/none/file`);
    assert.equal(failed.code, 1);
    assert.match(failed.stderr, /^switchyard: --write-config-to \S+\/none\/file: .*\n$/);
  }));

Deno.test("with a configuration file the agent is in kube-proxy's place, and never in the lab", () =>
  withFolder(async (folder) => {
    const file = `${folder}/config`;
    await Deno.writeTextFile(file, HEAD);
    const { code, stderr } = await run(`--config=${file}`);
    assert.equal(code, 2);
    assert.match(stderr, /^switchyard: no cluster is known: expected --kubeconfig or --master/);
  }));

Deno.test({
  ...requires("a changed configuration ends the agent, unless nobody could start with it", ...[
    "root",
    "netns",
    "tun",
  ]),
  fn: () =>
    withFolder(async (folder) => {
      // As a kubelet mounts a ConfigMap: by links that are exchanged.
      const versions = await Promise.all(["one", "two"].map(async (name) => {
        await Deno.mkdir(`${folder}/..${name}`);
        return `${folder}/..${name}/config`;
      }));
      await Deno.symlink("..one", `${folder}/..data`);
      const file = `${folder}/config`;
      await Deno.symlink("..data/config", file);
      const good = `${QUIET}mode: userspace\n`;
      await Deno.writeTextFile(versions[0], good);
      using namespace = NetworkNamespace.create();
      const args = [
        ...[MAIN, "run", `--config=${file}`, `--manifests=${EXAMPLES}`, "--node-ip=192.0.2.1"],
        ...["--api-bind-address=", "--kube-api-qps=9", "--boot-id-file=/x", "--output=json"],
      ];
      const program = new Program(args, {}, namespace);
      try {
        await program.line();
        assert.match(program.stderr, /accepted, but without effect: --boot-id-file$/m);
        assert.match(program.stderr, /not read, because there is --config: --kube-api-qps$/m);
        await Deno.writeTextFile(`${folder}/..bad`, `${good}oomScoreAdj: 9999\n`);
        await Deno.rename(`${folder}/..bad`, versions[0]);
        await until(
          () => /oomScoreAdj: Invalid value: 9999.*going on/.test(program.stderr),
          "the new configuration is refused",
        );
        // As it was: nothing has changed.
        await Deno.writeTextFile(versions[0], good);
        await Deno.writeTextFile(versions[1], `${good}oomScoreAdj: -998\n`);
        await Deno.symlink("..two", `${folder}/..new`);
        await Deno.rename(`${folder}/..new`, `${folder}/..data`);
        const { code, stderr } = await program.end();
        assert.equal(code, 1);
        assert.match(
          stderr,
          /^switchyard: --config \S+ has changed; ending, to be started again$/m,
        );
      } finally {
        await program.kill();
      }
    }),
});

Deno.test({
  ...requires("a node has one agent, and the next after it, however it ended", ...[
    "root",
    "netns",
    "tun",
  ]),
  async fn() {
    using namespace = NetworkNamespace.create();
    const quiet = ["healthz", "metrics", "api"].map((name) => `--${name}-bind-address=`);
    const args = [
      ...["run", `--manifests=${EXAMPLES}`, "--proxy-mode=userspace", "--node-ip=192.0.2.1"],
      ...quiet,
    ];
    const first = new Program([MAIN, ...args], {}, namespace);
    try {
      await first.line();
      const permissions = await taskPermissions("run");
      const second = await runProgram(permissions, args, "", namespace);
      assert.equal(second.code, 1);
      assert.equal(
        second.stderr.trim(),
        `switchyard: another switchyard programs this node: process ${first.pid}; end it first`,
      );
      first.signal("SIGKILL");
      await first.end();
    } finally {
      await first.kill();
    }
    const third = new Program([MAIN, ...args], {}, namespace);
    try {
      await third.line();
    } finally {
      await third.kill();
    }
  },
});

Deno.test({
  ...requires(
    "iptables mode sets connection tracking by its flags",
    ...["root", "netns", "iptables"],
  ),
  async fn() {
    using namespace = NetworkNamespace.create();
    const program = new Program(
      [
        ...[MAIN, "run", `--manifests=${EXAMPLES}`, "--proxy-mode=iptables", "--node-ip=192.0.2.1"],
        ...["healthz", "metrics", "api"].map((name) => `--${name}-bind-address=`),
        ...["--conntrack-max-per-core=0", "--conntrack-tcp-timeout-established=1h"],
        ...["--conntrack-tcp-timeout-close-wait=0s", "--conntrack-tcp-be-liberal"],
      ],
      {},
      namespace,
    );
    const read = (name: string) =>
      namespace.run(() => readSysctl(`net.netfilter.nf_conntrack_tcp_${name}`));
    const untouched = read("timeout_close_wait");
    try {
      await program.line();
      assert.equal(read("timeout_established"), "3600");
      assert.equal(read("be_liberal"), "1");
      assert.equal(read("timeout_close_wait"), untouched);
    } finally {
      await program.kill();
    }
  },
});

Deno.test({
  ...requires("a lab leaves the lock of the machine that it runs on alone", ...[
    "root",
    "netns",
    "tun",
  ]),
  async fn() {
    // Other tests' agents may be in this process's own.
    using namespace = NetworkNamespace.create();
    const cat = new Deno.Command("cat", { args: ["/proc/net/unix"] });
    const locked = () => {
      const { stdout } = namespace.run(() => cat.outputSync());
      return new TextDecoder().decode(stdout).includes("@switchyard/node");
    };
    const folder = await Deno.makeTempDir();
    const program = new Program(
      [
        ...[MAIN, "run", "--proxy-mode=userspace", "--output=json"],
        ...["healthz", "metrics", "api"].map((name) => `--${name}-bind-address=`),
      ],
      { SWITCHYARD_LAB_STATE: `${folder}/lab.json` },
      namespace,
    );
    try {
      await program.line();
      assert.equal(locked(), false);
      program.signal("SIGINT");
      assert.equal((await program.end()).code, 0);
    } finally {
      await program.kill();
      await Deno.remove(folder, { recursive: true });
    }
  },
});
