/**
 * ipvs mode with the DaemonSet's rights: on a read-only root, with kernel parameters that are read-only
 * too, and no capabilities but the manifest's; restricted_node_test.ts runs this in the virtual machine,
 * whose kernel has IPVS.
 *
 * @module
 */

import assert from "node:assert/strict";
import { readSysctl } from "../../src/linux/sysctl.ts";
import { ApiDouble } from "../cluster/kubernetes/api_double.ts";
import { rawNode, rawService, rawSlice } from "../cluster/kubernetes/helpers.ts";
import { RunningContainer } from "./container.ts";
import { argumentsOf, base, DEPLOY, PROJECT } from "./manifests.ts";

const NODE = "node-a";
const CONFIGURATION = "/var/lib/kube-proxy";

/** Longer than any container takes for anything, milliseconds. */
const PATIENCE_MS = 600_000;

/** What a container runtime does for a container that is not privileged. */
const RESTRICTIONS = `
mount --make-rprivate /
touch /run/xtables.lock
mount --bind /run /run
mount --bind /run/xtables.lock /run/xtables.lock
mount --bind /proc/sys /proc/sys
for path in / /run /proc/sys; do mount -o remount,ro,bind $path; done
exec setpriv --no-new-privs --inh-caps=-all --bounding-set=-all,CAPABILITIES "$@"`;

/** The image's entry point, with this machine's Deno and project in place of the image's. */
function entryPoint(): string {
  return Deno.readTextFileSync(`${DEPLOY}/kube-proxy`)
    .replaceAll("/usr/local/bin/deno", Deno.execPath())
    .replaceAll("/opt/switchyard/", PROJECT);
}

/** The image's program with all rights, or with those that the DaemonSet's container has. */
function start(rights: "all" | "DaemonSet", args: readonly string[]): RunningContainer {
  const { capabilities } = base("daemon-set").spec.template.spec.containers[0].securityContext;
  const added = capabilities.add.map((name: string) => `+${name.toLowerCase()}`).join(",");
  const script = rights === "all" ? 'exec "$@"' : RESTRICTIONS.replace("CAPABILITIES", added);
  const command = ["sh", "-c", entryPoint(), "sh", ...args];
  return RunningContainer.spawn("unshare", ["--mount", "sh", "-euc", script, "sh", ...command], {
    // Each becomes the next.
    pidOf: (pid) => pid,
    patienceMs: PATIENCE_MS,
  });
}

function output(program: string, ...args: string[]): string {
  const { stdout } = new Deno.Command(program, { args }).outputSync();
  return new TextDecoder().decode(stdout);
}

/** The ConfigMap's files, for ipvs mode and this API server. */
async function mountConfiguration(server: string): Promise<void> {
  const { data } = base("config-map");
  await Deno.mkdir(CONFIGURATION, { recursive: true });
  await Deno.writeTextFile(
    `${CONFIGURATION}/config.conf`,
    data["config.conf"].replace("mode: iptables", "mode: ipvs"),
  );
  const clusters = [{ name: "c", cluster: { server } }];
  const contexts = [{ name: "x", context: { cluster: "c" } }];
  await Deno.writeTextFile(
    `${CONFIGURATION}/kubeconfig.conf`,
    JSON.stringify({ clusters, contexts, "current-context": "x" }),
  );
}

Deno.test("ipvs mode does with the DaemonSet's rights, once the init container was there", async () => {
  await using api = new ApiDouble();
  const address = "10.244.1.7";
  api.put(rawService("web"), rawSlice("web-1", [address]), {
    ...rawNode(NODE),
    status: { addresses: [{ type: "InternalIP", address: "192.0.2.10" }] },
  });
  await mountConfiguration(api.url);
  // By this the kubelet shows which iptables it uses.
  output("iptables-legacy", "-t", "mangle", "-N", "KUBE-IPTABLES-HINT");
  const init = await start("all", argumentsOf("init", NODE)).ended;
  assert.equal(init.code, 0, init.stderr);
  assert.equal(readSysctl("net.ipv4.vs.conntrack"), "1");

  const agent = start("DaemonSet", argumentsOf("switchyard", NODE));
  await agent.says(/^serving 1 Service in ipvs mode/m);
  assert.equal(await (await fetch("http://127.0.0.1:10249/proxyMode")).text(), "ipvs");
  Deno.kill(agent.pid, "SIGTERM");
  const { code, stdout, stderr } = await agent.ended;
  assert.equal(code, 0, stderr);
  assert.doesNotMatch(stdout + stderr, /not all of it/, "both families are served");
  const servers = () => output("ipvsadm", "--list", "--numeric");
  assert.match(servers(), new RegExp(`-> ${address}:`), "the servers stay");
  assert.match(output("ip", "address", "show", "kube-ipvs0"), /inet 10\.96\.0\.1\/32/);
  assert.match(output("iptables-legacy-save", "-t", "nat"), /KUBE-CLUSTER-IP/);

  const cleanup = await start("DaemonSet", ["--cleanup"]).ended;
  assert.equal(cleanup.code, 0, cleanup.stderr);
  assert.doesNotMatch(servers(), /->\s+\d/);
  assert.equal(output("ip", "address", "show", "kube-ipvs0"), "");
  assert.doesNotMatch(output("iptables-legacy-save"), /KUBE-(?:SERVICES|CLUSTER-IP)/);
});
