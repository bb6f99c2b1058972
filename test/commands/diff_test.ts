import assert from "node:assert/strict";
import { planFromManifests } from "../../src/agent/from_manifests.ts";
import { parseCommandLine } from "../../src/config/config.ts";
import { UserspaceDataPlane } from "../../src/dataplane/userspace/dataplane.ts";
import { PRIORITY, SERVICE_TABLE } from "../../src/dataplane/userspace/own.ts";
import { Rtnetlink } from "../../src/netlink/route/rtnetlink.ts";
import { ProgramRunner } from "../../src/dataplane/iptables/programs.ts";
import { NetworkNamespace } from "../../src/linux/namespace.ts";
import { diff as diffCommand } from "../../src/commands/diff.ts";
import { UsageError } from "../../src/config/usage.ts";
import { requires } from "../requirements.ts";
import { dumpFlags, type IpvsDump, ipvsDump } from "./ipvs_dump.ts";
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

Deno.test("a node whose rules count packets, as its programs print them", async () => {
  // iptables-save puts two spaces before the name of a counter.
  const count = "-m nfacct --nfacct-name  ";
  const saved = (await rendered())
    .replace(/(--ctstate INVALID) (-j DROP)$/m, `$1 ${count}ct_state_invalid_dropped_pkts $2`)
    .replace(
      /^-A KUBE-NODEPORTS (.* --dport \d+) (-j KUBE-EXT-\w+)$/gm,
      (rule, match, jump) =>
        `-A KUBE-NODEPORTS -d 127.0.0.0/8 ${match} ${count}localhost_nps_accepted_pkts ${jump}\n` +
        rule,
    );
  assert.equal(saved.split(count).length - 1, 3);
  const { code, stdout } = await diff([...MANIFESTS, "--iptables-save=-"], saved);
  assert.deepEqual([code, stdout], [0, "iptables: the node is as it should be\n"]);
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

Deno.test({
  ...requires("this node in userspace mode, which it shows to be in", "root", "netns", "tun"),
  async fn() {
    using node = NetworkNamespace.create();
    using net = node.run(() => Rtnetlink.open());
    net.links.setUp("lo");
    net.addresses.add({ link: "lo", address: "192.168.50.10" });
    const { config } = parseCommandLine([...MANIFESTS, "--ip-family=ipv4"], "diff", () => "");
    const { plan } = await planFromManifests(config, "userspace");
    const dataPlane = await UserspaceDataPlane.start({ namespaceFd: node.fd });
    const args = [...MANIFESTS, "--this-node", "--ip-family=ipv4"];
    try {
      const { node: info, services } = plan;
      await dataPlane.sync(plan, { node: info, updated: [...services.values()], removed: [] });
      const { code, stdout } = await diff([...args, "--verify"], "", node);
      assert.equal(code, 0, stdout);
      assert.match(stdout, /^userspace: the node is as it should be\nengine and plan were asked /);
      net.routes.remove({ destination: "10.0.1.175/32", table: SERVICE_TABLE });
      net.rules.removeAll({ family: "IPv4", priority: PRIORITY.services, table: SERVICE_TABLE });
      const changed = await diff(args, "", node);
      assert.deepEqual([changed.code, changed.stdout.match(/^\S.*/mg)], [1, [
        "IPv4 rule 90: look up 10256: missing",
        "route 10.0.1.175 source 192.168.50.10: missing",
      ]]);
    } finally {
      await dataPlane.stop();
    }
    const stopped = await diff([...args, "--proxy-mode=userspace"], "", node);
    assert.equal(stopped.code, 1);
    assert.match(stopped.stdout, /^IPv4 table 10257: a route to the device: missing$/m);
  },
});

/** A node in ipvs mode by three files, which a test may change before they are written. */
async function ipvsDiff(
  flags: readonly string[],
  edit: (dump: IpvsDump) => void = () => {},
): Promise<Run> {
  const folder = await Deno.makeTempDir();
  try {
    const dump = await ipvsDump(MANIFESTS);
    edit(dump);
    return await diff([...MANIFESTS, ...await dumpFlags(folder, dump), ...flags]);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

const GOLDEN = `\
virtual server 10.0.1.175:80/TCP: changed
  + 10.244.2.3:9376 weight 1
virtual server 10.102.45.23:7/UDP: changed
  - scheduler rr ops persistent by network
  + scheduler rr
virtual server 10.0.1.175:81/TCP: unexpected
  - scheduler wlc persistent 60
  - 10.0.0.1:8 not by NAT, or limited
set KUBE-CLUSTER-IP: changed
  + 10.0.1.175,tcp:80
set KUBE-DROP: missing
IPv4 filter INPUT: changed
  + -m comment --comment "kubernetes ipvs access filter" -j KUBE-IPVS-FILTER
`;

const NOTE = "the addresses of kube-ipvs0 are in no file: those in its sets are compared\n";

Deno.test("a node in ipvs mode whose programs print what manifests ask for", async () => {
  const { code, stdout, stderr } = await ipvsDiff(["--ip-family=ipv4", "--verify"], (dump) => {
    // A TCP endpoint that is gone keeps its connections; a virtual server of others is theirs.
    dump["ipvsadm-save"] += "-a -t 10.0.1.175:80 -r 10.244.9.9:9376 -m -w 0\n" +
      "-A -t 192.0.2.80:80 -s wlc\n";
  });
  assert.deepEqual([code, stderr], [0, NOTE], stdout);
  const [first, second] = stdout.split("\n");
  assert.equal(first, "ipvs: the node is as it should be");
  const [, asked] = /^engine and rules were asked about (\d+) packets: they agree/.exec(second)!;
  assert.ok(Number(asked) > 40, asked);
});

Deno.test("a node in ipvs mode that has what it should not: servers, entries of sets, rules", async () => {
  const { code, stdout, stderr } = await ipvsDiff(["--verify"], (dump) => {
    dump["ipvsadm-save"] = dump["ipvsadm-save"]
      .replace("-a -t 10.0.1.175:80 -r 10.244.2.3:9376 -m -w 1\n", "")
      .replace("-A -u 10.102.45.23:7 -s rr", "$& -o -p 60 -M 255.255.0.0") +
      "-A -t 10.0.1.175:81 -s wlc -p 60\n-a -t 10.0.1.175:81 -r 10.0.0.1:8 -g -w 1\n";
    dump["ipset-save"] = dump["ipset-save"]
      .replace("add KUBE-CLUSTER-IP 10.0.1.175,tcp:80\n", "")
      .replace("create KUBE-DROP hash:ip,port family inet hashsize 1024 maxelem 65536\n", "");
    dump["iptables-save"] = dump["iptables-save"]
      .replace(/^-A INPUT .*-j KUBE-IPVS-FILTER\n/m, "");
  });
  assert.equal(code, 1, stderr);
  assert.equal(stderr, `without rules of IPv6, these are not compared\n${NOTE}`);
  const [differences, verified] = stdout.split(/^(?=engine and rules)/m);
  assert.equal(differences, GOLDEN);
  assert.match(verified, /, ClusterIP of default\/hostnames\)\n {2}backends: engine /);
});

for (
  const [args, expected, input] of [
    [["--manifests=x"], /^expected one of --iptables-save, --nft-list, --this-node and --server$/],
    [["--iptables-save=x"], /expected either --manifests or --server$/],
    [["--manifests=x", "--iptables-save=y", "--this-node"], /expected one of --iptables-save,/],
    [["--manifests=x", "--server=http://127.0.0.1:1"], /expected either --manifests or --server$/],
    [["--manifests=x", "--this-node", "more"], /unexpected argument "more": expected only flags$/],
    [["--manifests=-", "--iptables-save=-"], /only one of them can be standard input$/],
    [
      ["--manifests=x", "--iptables-save=y", "--proxy-mode=userspace"],
      /^--proxy-mode "userspace": its routes and policy rules are in no such file; .* --this-node, on /,
    ],
    [["--manifests=x", "--iptables-save=y", "--proxy-mode=ipvs"], /expected --ipset-save and --ip/],
    [["--manifests=x", "--iptables-save=y", "--ipset-save=z"], /"z": expected --ipvsadm-save too$/],
    [["--manifests=x", "--this-node", "--ipset-save=z"], /"z": expected --iptables-save too$/],
    [
      ["--manifests=x", "--iptables-save=y", "--ipvsadm-save=z", "--proxy-mode=iptables"],
      /"iptables": expected ipvs, or none, with --ipvsadm-save$/,
    ],
    [
      ["--manifests=x", "--iptables-save=y", "--proxy-mode=nftables"],
      /"nftables": expected iptables, or none, with --iptables-save$/,
    ],
    [
      ["--manifests=x", "--nft-list=y", "--proxy-mode=iptables"],
      /"iptables": expected nftables, or none, with --nft-list$/,
    ],
    [
      ["--manifests=x", "--nft-list=y", "--iptables-save=z"],
      /^--iptables-save "z": expected none with --nft-list$/,
    ],
    [["--manifests=x", "--nft-list=-"], /--nft-list: there are no rules in it$/, ""],
    [["--manifests=x", "--nft-list=-"], /--nft-list: standard input: line 2: /, "table ip a {\n}}"],
    [["--server=http://x", "--proxy-mode=ipvs"], /"ipvs": expected none with --server, whose it/],
    [["--manifests=x", "--this-node", "--rules=node"], /--rules "node": expected --server too$/],
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
