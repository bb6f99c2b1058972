import assert from "node:assert/strict";
import { preview as previewCommand } from "../../src/commands/preview.ts";
import { UsageError } from "../../src/config/usage.ts";
import { EXAMPLES, type Run, runProgram, taskPermissions } from "./cli.ts";

const MANIFESTS = [
  `--manifests=${EXAMPLES}`,
  "--hostname-override=lab-node",
  "--node-ip=192.168.50.10",
  "--ip-family=ipv4",
];

/** With the task's own permissions, so that these are seen to be enough. */
async function preview(args: readonly string[], input = ""): Promise<Run> {
  return await runProgram(await taskPermissions("preview"), ["preview", ...args], input);
}

const SHOP = `
apiVersion: v1
kind: Service
metadata: { name: shop }
spec:
  type: NodePort
  clusterIP: 10.96.0.77
  selector: { app: shop }
  ports: [{ name: http, port: 80, targetPort: 8080, nodePort: 30777 }]
---
apiVersion: apps/v1
kind: Deployment
metadata: { name: shop, annotations: { switchyard/pod-addresses: 10.244.1.77 } }
spec:
  replicas: 1
  selector: { matchLabels: { app: shop } }
  template:
    metadata: { labels: { app: shop } }
    spec: { containers: [{ name: shop, image: shop }] }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: shop }
`;

const CHANGED = `\
Service default/hostnames: removed
  - ClusterIP 10.0.1.175:80/TCP
  - backend 10.244.1.7:9376/TCP (Pod default/hostnames-b56xn on lab-node)
  - backend 10.244.2.3:9376/TCP (Pod default/hostnames-bjftn on paper-node-2)
  - backend 10.244.3.6:9376/TCP (Pod default/hostnames-rf7d9 on paper-node-3)
Service default/shop: added
  + ClusterIP 10.96.0.77:80/TCP (http)
  + NodePort port 30777/TCP (http)
  + backend 10.244.1.77:8080/TCP (Pod default/shop-SUFFIX on lab-node)
userspace: 2 lines more, 1 less
  - route 10.0.1.175 source 192.168.50.10
  + route 10.96.0.77 source 192.168.50.10
  + capture TCP 192.168.50.10 30777-30777
assumed: addresses and nodes of 1 new pod
of no concern: ConfigMap
`;

Deno.test("what manifests would change of the examples", async () => {
  const args = ["--apply=-", "--delete=svc/hostnames", "--proxy-mode=userspace"];
  const { code, stdout, stderr } = await preview([...MANIFESTS, ...args], SHOP);
  assert.deepEqual([code, stderr], [1, ""]);
  assert.equal(stdout.replace(/default\/shop-\w+ /, "default/shop-SUFFIX "), CHANGED);
});

/** A line of each mode. */
const LINES = {
  iptables: /^ {2}\+ nat -A KUBE-SERVICES .*-d 10\.96\.0\.77 --dport 80 -j KUBE-SVC-\w+$/,
  ipvs: /^ {2}\+ server -a -t 10\.96\.0\.77:80 -r 10\.244\.1\.77:8080 -m -w 1$/,
  nftables: /^ {2}\+ element service-ips 10\.96\.0\.77 \. tcp \. 80 : goto service-\S+$/,
};

for (const [mode, expected] of Object.entries(LINES)) {
  Deno.test(`the rules of ${mode} mode that would come and go`, async () => {
    const args = ["--apply=-", `--proxy-mode=${mode}`];
    const { code, stdout } = await preview([...MANIFESTS, ...args], SHOP);
    assert.equal(code, 1, stdout);
    const lines = stdout.split("\n");
    assert.ok(lines.some((line) => expected.test(line)), stdout);
    assert.match(stdout, new RegExp(`^${mode} IPv4: [0-9]+ lines more, 0 less$`, "m"));
  });
}

Deno.test("what is there already changes nothing", async () => {
  const { code, stdout, stderr } = await preview([...MANIFESTS, `--apply=${EXAMPLES}`]);
  assert.deepEqual([code, stdout, stderr], [0, "nothing would change\n", ""]);
  const json = await preview([...MANIFESTS, `--apply=${EXAMPLES}`, "--output=json"]);
  assert.equal(json.code, 0);
  const { services, rules } = JSON.parse(json.stdout);
  assert.deepEqual([services, rules.map(({ mode }: { mode: string }) => mode)], [[], ["iptables"]]);
});

Deno.test("what cannot be had is told with its line, and the rest is previewed", async () => {
  const taken = SHOP.replace("10.96.0.77", "10.0.1.175");
  const { code, stdout, stderr } = await preview(
    [...MANIFESTS, "--apply=-", "--delete=pod/none", "--delete=deploy/default/hostnames"],
    taken,
  );
  assert.equal(code, 2);
  assert.deepEqual(stderr.split("\n"), [
    "--delete: Pod default/none: there is none, so nothing would change",
    "standard input:2: Service default/shop: spec.clusterIP: 10.0.1.175 is the address of Service " +
    "default/hostnames",
    "",
  ]);
  assert.match(stdout, /^Service default\/hostnames: changed$/m);
});

for (
  const [args, expected, input] of [
    [["--apply=x"], /^expected either --manifests or --server$/],
    [["--manifests=x"], /^expected --apply FILE or --delete KIND\/NAMESPACE\/NAME, or several$/],
    [["--manifests=x", "--server=http://x", "--apply=y"], /^expected either --manifests or/],
    [["--manifests=-", "--apply=-"], /^--manifests and --apply: only one of them can be standard/],
    [["--manifests=x", "--apply=-", "--apply=-"], /standard input can only be read once$/],
    [["--manifests=x", "--apply=y", "z"], /^unexpected argument "z": expected --apply before each/],
    [["--manifests=x", "--delete=web"], /^--delete "web": expected one of service, .* before the/],
    [["--manifests=x", "--delete=secret/a"], /^--delete "secret\/a": expected one of service, /],
    [["--manifests=x", "--delete=svc/a/b/c"], /^--delete "svc\/a\/b\/c": expected service\/NAMES/],
    [["--manifests=x", "--delete=nodes/"], /^--delete "nodes\/": expected node\/NAME$/],
    [["--manifests=x", "--apply=/nowhere"], /^--apply: \/nowhere: no such file or folder$/],
    [["--manifests=/nowhere", "--delete=svc/a"], /^--manifests: \/nowhere: no such file or folder/],
    [["--manifests=x", "--apply=-"], /^--apply: standard input:1: broken YAML: /, "{"],
    [
      [...MANIFESTS, "--apply=-"],
      /^standard input:9: Service default\/shop: spec\.ports\[0\]\.port: expected a whole number/,
      SHOP.replace("port: 80,", "port: 0,"),
    ],
    [
      [...MANIFESTS, "--apply=-"],
      /^standard input:2: Service default\/a: spec\.ports\[0\]\.port: expected a whole number/,
      '{"kind": "List", "apiVersion": "v1", "items": [{"apiVersion": "v1", "kind": "Service",\n' +
      '"metadata": {"name": "a"}, "spec": {"ports": [{"port": 0}]}}]}',
    ],
  ] as [string[], RegExp, string?][]
) {
  Deno.test(`bad usage of preview: ${args.join(" ")}`, async () => {
    const message = input === undefined ? await refusal(args) : await refusalOf(args, input);
    assert.match(message, expected);
  });
}

/** What the command itself says, without a process of its own. */
async function refusal(args: readonly string[]): Promise<string> {
  const error = await previewCommand(args).then(() => null, (error) => error);
  assert.ok(error instanceof UsageError, String(error));
  assert.doesNotMatch(error.message, /\n/);
  return error.message;
}

/** What the program says. */
async function refusalOf(args: readonly string[], input: string): Promise<string> {
  const { code, stdout, stderr } = await preview(args, input);
  assert.deepEqual([code, stdout], [2, ""], stderr);
  assert.equal(stderr.split("\n").length, 2, stderr);
  return stderr.trimEnd().replace("switchyard: ", "");
}
