/** nftables mode on the command line: what would be programmed, and what a node has, as nft prints it. */

import assert from "node:assert/strict";
import { ProgramRunner } from "../../src/dataplane/iptables/programs.ts";
import { NetworkNamespace } from "../../src/linux/namespace.ts";
import { requires } from "../requirements.ts";
import { EXAMPLES, type Run, runProgram, taskPermissions } from "./cli.ts";

const NODE = "--node-ip=192.168.50.10";
const MANIFESTS = [`--manifests=${EXAMPLES}`, "--hostname-override=lab-node", NODE];
const CLIENT = "192.168.50.100";

/** With the task's own permissions, so that these are seen to be enough. */
async function run(
  command: "render" | "explain" | "diff",
  args: readonly string[],
  input = "",
  namespace: NetworkNamespace | null = null,
): Promise<Run> {
  return await runProgram(await taskPermissions(command), [command, ...args], input, namespace);
}

async function rendered(...flags: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run("render", [
    ...MANIFESTS,
    "--proxy-mode=nftables",
    ...flags,
  ]);
  assert.deepEqual([code, stderr], [0, ""]);
  return stdout;
}

Deno.test("what nftables mode would program is a node's rules, to be explained and compared", async () => {
  const text = await rendered("--ip-family=ipv4");
  const one = [CLIENT, "192.168.50.10:30007/TCP"];
  const asked = await run("explain", ["--nft-list=-", NODE, ...one], text);
  assert.deepEqual([asked.code, asked.stderr], [0, ""]);
  assert.match(asked.stdout, /^ {2}FORWARD default\/log-collection-external:ingest, masqueraded$/m);
  assert.match(asked.stdout, /^ {4}50% FORWARD to \S+, masqueraded$/m);
  const by =
    /: goes to external-\w{8}-default\/log-collection-external\/\S+; by element tcp \. 30007$/m;
  assert.match(asked.stdout, by);

  const same = await run("diff", [...MANIFESTS, "--nft-list=-", "--verify"], text);
  assert.equal(same.stderr, "without rules of IPv6, these are not compared\n");
  assert.match(
    same.stdout,
    /^nftables: the node is as it should be\nengine and rules were asked about \d+ packets: they agree\n$/,
  );
  assert.equal(same.code, 0);
  const lost = /^.*dnat to 10\.244\.2\.3:9376\n/m;
  assert.match(text, lost);
  const edited = text.replace(lost, "").replace(/^(\t\telements = \{ )10\.0\.1\.175,\s*/m, "$1");
  const other = await run("diff", [...MANIFESTS, "--nft-list=-", "--verify"], edited);
  assert.equal(other.code, 1, other.stderr);
  assert.match(other.stdout, /: changed\n {2}\+ meta l4proto tcp dnat to 10\.244\.2\.3:9376\n/);
  assert.match(other.stdout, /, ClusterIP of default\/hostnames\)\n {2}backends: engine /);

  const both = await run("explain", [
    ...MANIFESTS,
    "--nft-list=-",
    CLIENT,
    "10.0.1.175:80/TCP",
  ], edited);
  assert.match(both.stdout, /: backends: engine .*10\.244\.2\.3:9376.*, rules /);
  const wrong = await run("explain", ["--iptables-save=-", CLIENT, "10.0.1.175:80/TCP"], text);
  assert.deepEqual([wrong.code, wrong.stdout], [2, ""]);
  assert.equal(
    wrong.stderr,
    "switchyard: --iptables-save: standard input: it is what nft list prints: expected --nft-list\n",
  );
});

Deno.test({
  ...requires("a node in nftables mode shows to be, and is compared", "root", "netns", "nft"),
  async fn() {
    using node = NetworkNamespace.create();
    const runner = new ProgramRunner(node);
    const nft = async (input: string) =>
      assert.equal((await runner.run("nft", ["-f", "-"], input)).stderr, "");
    const text = await rendered();
    // As in kube-proxy, a family of which the node has no address answers on all that it may get.
    const [, six] = text.split("table ip6");
    assert.match(
      six,
      /fib daddr type local ip6 daddr != ::1 meta l4proto \. th dport vmap @service-/,
    );
    await nft(text);
    const args = [...MANIFESTS, "--this-node"];
    const same = await run("diff", args, "", node);
    assert.deepEqual(same, {
      ...same,
      code: 0,
      stdout: "nftables: the node is as it should be\n",
      stderr: "",
    });
    await nft("flush chain ip6 kube-proxy services\n");
    const other = await run("diff", args, "", node);
    assert.equal(other.code, 1, other.stderr);
    assert.match(other.stdout, /^ip6 kube-proxy chain services: changed\n {2}\+ ip6 daddr \. /);
  },
});
