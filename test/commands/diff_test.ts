import assert from "node:assert/strict";
import { ProgramRunner } from "../../src/dataplane/iptables/programs.ts";
import { NetworkNamespace } from "../../src/linux/namespace.ts";
import { diff as diffCommand } from "../../src/commands/diff.ts";
import { UsageError } from "../../src/config/usage.ts";
import { requires } from "../requirements.ts";
import { EXAMPLES, type Run, runProgram, taskPermissions } from "./cli.ts";

const MANIFESTS = [
  `--manifests=${EXAMPLES}`,
  "--hostname-override=lab-node",
  "--node-ip=192.168.50.10",
];

/** With the task's own permissions, so that these are seen to be enough. */
async function diff(
  args: readonly string[],
  input = "",
  namespace: NetworkNamespace | null = null,
): Promise<Run> {
  return await runProgram(await taskPermissions("diff"), ["diff", ...args], input, namespace);
}

/** A node's dump that is as the manifests ask for, but for what a rule set leaves to its making. */
async function rendered(...flags: readonly string[]): Promise<string> {
  const run = await runProgram(
    await taskPermissions("render"),
    ["render", ...MANIFESTS, "--ip-family=ipv4", ...flags],
  );
  assert.equal(run.code, 0, run.stderr);
  const jumps: Record<string, string[]> = {
    filter: [
      '-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL',
      '-A INPUT -m comment --comment "kubernetes health check service ports" -j KUBE-NODEPORTS',
      '-A INPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES',
      "-A INPUT -j KUBE-FIREWALL",
      '-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL',
      '-A FORWARD -m comment --comment "kubernetes forwarding rules" -j KUBE-FORWARD',
      '-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
      '-A FORWARD -m conntrack --ctstate NEW -m comment --comment "kubernetes externally-visible service portals" -j KUBE-EXTERNAL-SERVICES',
      '-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes load balancer firewall" -j KUBE-PROXY-FIREWALL',
      '-A OUTPUT -m conntrack --ctstate NEW -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
      "-A OUTPUT -j KUBE-FIREWALL",
    ],
    nat: [
      '-A PREROUTING -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
      '-A OUTPUT -m comment --comment "kubernetes service portals" -j KUBE-SERVICES',
      '-A POSTROUTING -m comment --comment "kubernetes postrouting rules" -j KUBE-POSTROUTING',
    ],
  };
  const kernel: Record<string, string[]> = {
    filter: ["INPUT", "FORWARD", "OUTPUT"],
    nat: ["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"],
  };
  const text = run.stdout.replace(/^\*(\w+)$/gm, (line, table: string) =>
    [
      line,
      ...kernel[table].map((chain) => `:${chain} ACCEPT [0:0]`),
      ":KUBE-PROXY-CANARY - [0:0]",
    ].join("\n"));
  let table = "";
  const lines = text.split("\n").flatMap((line) => {
    if (line.startsWith("*")) table = line.slice(1);
    return line === "COMMIT" ? [...jumps[table], line] : [line];
  });
  return [...lines, "*mangle", ":KUBE-PROXY-CANARY - [0:0]", "COMMIT", ""].join("\n");
}

Deno.test("a node's dump that is as manifests ask for", async () => {
  const saved = await rendered();
  const args = [...MANIFESTS, "--iptables-save=-", "--ip-family=ipv4"];
  const { code, stdout, stderr } = await diff(args, saved);
  assert.deepEqual([code, stdout, stderr], [0, "iptables: the node is as it should be\n", ""]);
  const verified = await diff([...args, "--verify", "--output=json"], saved);
  assert.equal(verified.code, 0, verified.stdout);
  const { mode, differences, verification } = JSON.parse(verified.stdout);
  assert.deepEqual([mode, differences, verification.disputes], ["iptables", [], []]);
  assert.ok(verification.asked > 40, verification.asked);
});

Deno.test("a node whose programs and proxy are others is compared with what these would do", async () => {
  const saved = (await rendered("--iptables-chain-naming=current"))
    .replaceAll(" --random-fully", "")
    .replace(/^-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP\n/m, "");
  const args = [...MANIFESTS, "--iptables-save=-", "--ip-family=ipv4"];
  const { code, stdout } = await diff(args, saved);
  assert.deepEqual([code, stdout], [0, "iptables: the node is as it should be\n"]);
  const fixed = await diff([...args, "--iptables-chain-naming=documented"], saved);
  assert.equal(fixed.code, 1);
});

Deno.test("a node's dump that is not: what is missing, what is too much, what goes elsewhere", async () => {
  const saved = (await rendered())
    .replace(/^-A KUBE-SVC-\w+ .*"default\/hostnames -> 10\.244\.2\.3:9376".*\n/m, "")
    .replace(/^COMMIT/m, "-A KUBE-FORWARD -s 192.0.2.1/32 -j DROP\nCOMMIT");
  const args = [...MANIFESTS, "--iptables-save=-", "--verify"];
  const { code, stdout, stderr } = await diff(args, saved);
  assert.equal(code, 1);
  assert.equal(stderr, "without rules of IPv6, these are not compared\n");
  assert.match(stdout, /^IPv4 filter KUBE-FORWARD: changed\n {2}- -s 192\.0\.2\.1\/32 -j DROP\n/);
  assert.match(stdout, /\nIPv4 nat KUBE-SVC-\w+: changed\n {2}\+ .*10\.244\.2\.3:9376/);
  assert.match(
    stdout,
    /\nengine and rules were asked about \d+ packets: they do not agree about \d+/,
  );
  assert.match(stdout, /, ClusterIP of default\/hostnames\)\n {2}backends: engine /);
});

Deno.test({
  ...requires("this node's own rules", "root", "netns", "iptables-nft", "iptables-nft-restore"),
  async fn() {
    using node = NetworkNamespace.create();
    const args = [...MANIFESTS, "--this-node", "--ip-family=ipv4"];
    const none = await diff(args, "", node);
    assert.equal(none.code, 1, none.stderr);
    assert.match(none.stdout, /^IPv4 nat KUBE-SERVICES: missing$/m);
    const { code } = await new ProgramRunner(node)
      .run("iptables-nft-restore", ["--noflush"], await rendered());
    assert.equal(code, 0);
    const done = await diff(args, "", node);
    assert.deepEqual([done.code, done.stdout], [0, "iptables: the node is as it should be\n"]);
  },
});

for (
  const [args, expected, input] of [
    [["--manifests=x"], /^expected one of --iptables-save, --this-node and --server$/],
    [["--iptables-save=x"], /expected either --manifests or --server$/],
    [["--manifests=x", "--iptables-save=y", "--this-node"], /expected one of --iptables-save,/],
    [["--manifests=x", "--server=http://127.0.0.1:1"], /expected either --manifests or --server$/],
    [["--manifests=x", "--this-node", "more"], /unexpected argument "more": expected only flags$/],
    [["--manifests=-", "--iptables-save=-"], /only one of them can be standard input$/],
    [["--manifests=x", "--this-node", "--proxy-mode=userspace"], /expected iptables, or none$/],
    [["--manifests=x", "--iptables-save=/nowhere"], /--iptables-save: \/nowhere: no such file$/],
    [["--manifests=x", "--iptables-save=-"], /standard input: line 2: /, "*nat\nx\n"],
    [["--manifests=x", "--iptables-save=-"], /--iptables-save: there are no rules in it$/, ""],
    [["--server=ftp://x"], /--server "ftp:\/\/x": expected http:\/\/HOST:PORT, https:/],
    [["--server=unix:x"], /--server "unix:x": expected http:/],
  ] as [string[], RegExp, string?][]
) {
  Deno.test(`bad usage of diff: ${args.join(" ")} ${input ?? ""}`, async () => {
    const message = input === undefined ? await refusal(args) : await refusalOf(args, input);
    assert.match(message, expected);
  });
}

/** What the command itself says, without a process of its own. */
async function refusal(args: readonly string[]): Promise<string> {
  const error = await diffCommand(args).then(() => null, (error) => error);
  assert.ok(error instanceof UsageError, String(error));
  assert.doesNotMatch(error.message, /\n/);
  return error.message;
}

/** What the program says. */
async function refusalOf(args: readonly string[], input: string): Promise<string> {
  const { code, stdout, stderr } = await diff(args, input);
  assert.deepEqual([code, stdout], [2, ""], stderr);
  assert.equal(stderr.split("\n").length, 2, stderr);
  return stderr.trimEnd().replace("switchyard: ", "");
}
