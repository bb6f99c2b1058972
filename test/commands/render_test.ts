import assert from "node:assert/strict";
import { EXAMPLES, type Run, runProgram, taskPermissions } from "./cli.ts";

/** With the task's own permissions, so that these are seen to be enough. */
async function render(args: readonly string[], input = ""): Promise<Run> {
  return await runProgram(await taskPermissions("render"), ["render", ...args], input);
}

const IPTABLES = ["--proxy-mode=iptables", `--manifests=${EXAMPLES}`, "--hostname-override=node-x"];

/** default/hostnames as the documentation of Kubernetes shows it. */
const HOSTNAMES = [
  "KUBE-SVC-NWV5X2332I4OT4T3",
  "KUBE-SEP-57KPRZ3JQVENLNBR",
  "KUBE-SEP-WNBA2IHDGP2BOBGZ",
  "KUBE-SEP-X3P2623AGDH6CDF3",
];

Deno.test("the restore text has both families, whole tables and Kubernetes' own chain names", async () => {
  const { code, stdout, stderr } = await render(IPTABLES);
  assert.equal(code, 0, stderr);
  assert.equal(stderr, "");
  const lines = stdout.split("\n");
  assert.deepEqual(
    lines.filter((line) => /^[#*]/.test(line)),
    ["# IPv4", "*filter", "*nat", "# IPv6", "*filter", "*nat"],
  );
  assert.equal(lines.filter((line) => line === "COMMIT").length, 4);
  for (const chain of HOSTNAMES) assert.ok(lines.includes(`:${chain} - [0:0]`), chain);
  assert.ok(lines.some((line) =>
    line.startsWith(`-A ${HOSTNAMES[1]} `) &&
    line.endsWith("-j DNAT --to-destination 10.244.3.6:9376")
  ));
  const again = await render([...IPTABLES, "--ip-family=ipv6"]);
  assert.equal(again.stdout, stdout.slice(stdout.indexOf("# IPv6\n")));
});

Deno.test("the structure says what the text says", async () => {
  const text = (await render(IPTABLES)).stdout;
  const { code, stdout } = await render([...IPTABLES, "--output=json"]);
  assert.equal(code, 0);
  const { mode, node, families } = JSON.parse(stdout);
  assert.deepEqual([mode, node], ["iptables", "node-x"]);
  const lines: string[] = [];
  for (const { family, tables } of families) {
    lines.push(`# ${family}`);
    for (const { name, chains, jumps } of tables) {
      assert.ok(jumps.length > 0);
      lines.push(`*${name}`);
      for (const chain of chains) {
        lines.push(`:${chain.name} - [0:0]`);
        lines.push(...chain.rules.map((rule: string) => `-A ${chain.name} ${rule}`));
      }
      lines.push("COMMIT");
    }
  }
  assert.deepEqual(lines.sort(), text.trimEnd().split("\n").sort());
});

Deno.test("the chains of unnamed ports can be kube-proxy's of today", async () => {
  const chains = (text: string) => new Set(text.match(/^:KUBE-S\S+/gm));
  const documented = chains((await render(IPTABLES)).stdout);
  const current = chains((await render([...IPTABLES, "--iptables-chain-naming=current"])).stdout);
  // What kube-proxy 1.33 calls default/hostnames.
  assert.ok(current.has(":KUBE-SVC-YN5D6RYVEVZOH44Q"));
  assert.ok(!current.has(`:${HOSTNAMES[0]}`));
  assert.equal(current.size, documented.size);
  assert.ok(current.intersection(documented).size > 0, "named ports have the same chains");
});

Deno.test("flags of the mode count", async () => {
  const { stdout } = await render([
    ...IPTABLES,
    "--iptables-masquerade-bit=15",
    "--detect-local-mode=BridgeInterface",
    "--pod-bridge-interface=cbr0",
    "--nodeport-addresses=192.168.50.0/24",
    "--node-ip=192.168.50.10",
  ]);
  assert.match(stdout, /^-A KUBE-MARK-MASQ -j MARK --or-mark 0x00008000$/m);
  assert.match(stdout, / -d 192\.168\.50\.10 -j KUBE-NODEPORTS$/m);
  assert.match(
    stdout,
    /^-A KUBE-SVC-\S+ .*-d 10\.0\.1\.175 --dport 80 ! -i cbr0 -j KUBE-MARK-MASQ$/m,
  );
  const all = await render([...IPTABLES, "--masquerade-all", "--cluster-cidr=10.244.0.0/16"]);
  const toAll = /^-A KUBE-SVC-\S+ .*-d 10\.0\.1\.175 --dport 80 -j KUBE-MARK-MASQ$/m;
  assert.match(all.stdout, toAll);
  assert.doesNotMatch(stdout, toAll);
});

Deno.test("userspace mode has routes and captured ports", async () => {
  const args = [
    "--proxy-mode=userspace",
    `--manifests=${EXAMPLES}`,
    "--node-ip=192.168.50.10",
    "--ip-family=ipv4",
  ];
  const { code, stdout } = await render(args);
  assert.equal(code, 0);
  assert.match(stdout, /^route 10\.0\.1\.175 source 192\.168\.50\.10$/m);
  assert.match(stdout, /^capture TCP 192\.168\.50\.10 30007-30007$/m);
  const { mode, routes } = JSON.parse((await render([...args, "--output=json"])).stdout);
  assert.equal(mode, "userspace");
  assert.ok(routes.some(({ address }: { address: string }) => address === "10.0.1.175"));
});

const SERVICE = `
apiVersion: v1
kind: Service
metadata: { name: web }
spec: { clusterIP: 10.96.0.1, ports: [{ port: 80 }] }
`;

Deno.test("what is wrong is told in one line each, and the rest is rendered", async () => {
  const broken = `${SERVICE}---${SERVICE.replace("10.96.0.1", "10.96.0.300")}`;
  const bad = `${broken}---\nkind: [broken\n`;
  const { code, stdout, stderr } = await render(["--manifests=-"], bad);
  assert.equal(code, 2);
  assert.match(stdout, /-d 10\.96\.0\.1 /);
  const lines = stderr.trimEnd().split("\n");
  assert.equal(lines.length, 2, stderr);
  assert.match(stderr, /^standard input:\d+: Service default\/web: spec\.clusterIP: /m);
  assert.match(stderr, /^standard input:\d+: broken YAML: /m);
});

for (
  const [args, message] of [
    [[], /^switchyard: expected --manifests: a file, a folder, or - for standard input$/],
    [["--manifests=/nowhere"], /^switchyard: --manifests: \/nowhere: no such file or folder$/],
    [["--manifests=-", "extra"], /^switchyard: unexpected argument "extra"/],
    [
      ["--manifests=-", "--proxy-mode=ipvs", "--ipvs-scheduler=random"],
      /--ipvs-scheduler "random": the kernel has none/,
    ],
    [["--manifests=-", "--flows=x"], /^switchyard: unknown flag --flows/],
  ] as const
) {
  Deno.test(`bad usage of render: ${args.join(" ")}`, async () => {
    const { code, stdout, stderr } = await render(args);
    assert.deepEqual([code, stdout], [2, ""]);
    assert.match(stderr.trimEnd(), message);
  });
}
