import assert from "node:assert/strict";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { parse } from "yaml";
import { type Config, parseCommandLine } from "../../src/config/config.ts";
import { FIELDS } from "../../src/config/file/fields.ts";
import { UsageError } from "../../src/config/usage.ts";
import ARGUMENTS from "./fixtures/arguments.json" with { type: "json" };

const fixture = (name: string) =>
  Deno.readTextFileSync(fileURLToPath(new URL(`fixtures/${name}.yaml`, import.meta.url)));

const HEAD = "apiVersion: kubeproxy.config.k8s.io/v1alpha1\nkind: KubeProxyConfiguration\n";

function config(file: string, ...args: string[]): Config {
  return parseCommandLine(["--config=F", ...args], "run", () => "node", () => file).config;
}

const flags = (...args: string[]) => parseCommandLine(args, "run", () => "node").config;

/** The one default that kube-proxy has otherwise in a file than as a flag. */
const IPVS_DEFAULT = "--ipvs-min-sync-period=0s";

/** What of a configuration does not say where it came from. */
function settings(config: Config) {
  const { configFile: _, ignored: __, flags: ___, withoutEffect: ____, ...rest } = config;
  return { ...rest, nodeName: "" };
}

function refusal(file: string, ...args: string[]): string {
  try {
    config(file, ...args);
  } catch (error) {
    assert.ok(error instanceof UsageError, String(error));
    assert.ok(!error.message.includes("\n"), "one line");
    assert.ok(error.message.startsWith("--config F: "), error.message);
    return error.message.slice("--config F: ".length);
  }
  assert.fail(`taken: ${file}`);
}

Deno.test("an empty configuration is that of no flags", () => {
  assert.deepEqual(settings(config(HEAD)), settings(flags(IPVS_DEFAULT)));
  assert.deepEqual(config(HEAD).withoutEffect, []);
});

Deno.test("kubeadm's ConfigMap and arguments work as they are", () => {
  const kubeadm = config(fixture("kubeadm"), "--hostname-override=Node-A");
  assert.equal(kubeadm.nodeName, "node-a");
  assert.equal(kubeadm.kubeconfig, "/var/lib/kube-proxy/kubeconfig.conf");
  assert.deepEqual(kubeadm.clusterCIDRs, ["10.244.0.0/16"]);
  assert.deepEqual(kubeadm.withoutEffect, []);
  assert.deepEqual(kubeadm.ignored, []);
  const like = flags(
    IPVS_DEFAULT,
    "--cluster-cidr=10.244.0.0/16",
    "--kubeconfig=/var/lib/kube-proxy/kubeconfig.conf",
    "--hostname-override=Node-A",
  );
  assert.deepEqual(settings(kubeadm), settings(like));
});

Deno.test("what kube-proxy writes is what is the default here, and means it", () => {
  const file = fixture("kube-proxy-1.33");
  assert.deepEqual(config(file).withoutEffect, []);
  assert.deepEqual(settings({ ...config(file), configuration: {} }), {
    ...settings({ ...flags(IPVS_DEFAULT), configuration: {} }),
    proxyMode: "iptables",
  });
  // kube-proxy writes zeros for the periods of modes that are not chosen.
  const { mode: _, ipvs, nftables, ...written } = parse(file);
  const { mode, ipvs: ownIpvs, nftables: ownNftables, ...own } = flags().configuration;
  delete written.logging.options;
  assert.deepEqual(own, written);
  assert.equal(mode, "");
  const without = ({ syncPeriod: _, minSyncPeriod: __, ...rest }: Record<string, unknown>) => rest;
  assert.deepEqual(without(ownIpvs as typeof own), without(ipvs));
  assert.deepEqual(without(ownNftables as typeof own), without(nftables));
});

Deno.test("what is written is read again as it was", () => {
  for (const name of ["kubeadm", "eks", "kind", "old-ipvs", "kube-proxy-1.33"]) {
    const read = config(fixture(name));
    const again = config(JSON.stringify(read.configuration));
    assert.deepEqual(settings(again), settings(read), name);
  }
});

Deno.test("EKS's and kind's configurations", () => {
  const eks = config(fixture("eks"), "--v=2", "--hostname-override=x");
  assert.deepEqual(eks.metricsBindAddress, { host: "0.0.0.0", port: 10249 });
  assert.equal(eks.oomScoreAdj, -998);
  assert.equal(eks.logging.verbosity, 2);
  // kube-proxy takes 0 for its default of a second too.
  assert.deepEqual(eks.iptablesSync, { minMs: 1000, periodMs: 30_000 });
  const kind = config(fixture("kind"));
  assert.equal(kind.proxyMode, "ipvs");
  assert.deepEqual(kind.conntrack, {
    ...flags().conntrack,
    maxPerCore: 0,
    tcpEstablishedMs: 0,
    tcpCloseWaitMs: 0,
  });
});

Deno.test("an old configuration for ipvs on IPv6 first works as it is, and says what has no effect", () => {
  const old = config(fixture("old-ipvs"));
  assert.equal(old.proxyMode, "ipvs");
  assert.equal(old.scheduler, "wrr");
  assert.deepEqual(old.ipvsSync, { minMs: 5000, periodMs: 30_000 });
  assert.equal(old.masqueradeAll, true);
  assert.deepEqual(old.clusterCIDRs, ["172.16.0.0/12", "fd00:172:16::/56"]);
  assert.equal(old.bindAddress, null, ":: is no address of a node");
  assert.deepEqual(old.healthzBindAddress, { host: "::", port: 10256 });
  assert.deepEqual(old.metricsBindAddress, { host: "::1", port: 10249 });
  assert.deepEqual([...old.featureGates], [["SupportIPVSProxyMode", true]]);
  assert.deepEqual(old.withoutEffect.filter((name) => !name.startsWith("ipvs.")), [
    "udpIdleTimeout",
    "resourceContainer",
    "feature gate SupportIPVSProxyMode",
  ]);
});

for (const [distribution, args] of Object.entries(ARGUMENTS)) {
  Deno.test(`the arguments that ${distribution} gives kube-proxy are taken`, () => {
    const line = parseCommandLine(args, "run", () => "node", () => HEAD);
    assert.deepEqual(line.positionals, []);
    const gates = distribution === "gke"
      ? ["DisableKubeletCloudCredentialProviders", "ExecProbeTimeout"]
      : [];
    assert.deepEqual(line.config.withoutEffect, gates.map((gate) => `feature gate ${gate}`));
    assert.deepEqual(line.config.ignored, []);
  });
}

Deno.test("a configuration file stands over flags, but for those that count in kube-proxy too", () => {
  const given = config(
    `${HEAD}mode: iptables\nhostnameOverride: file\nlogging: {verbosity: 1, vmodule: [{filePattern: b, verbosity: 1}]}\n`,
    "--proxy-mode=userspace",
    "--masquerade-all",
    "--kubeconfig=/flag",
    "--hostname-override=Flag",
    "-v=5",
    "--vmodule=a=4",
    "--master=https://192.0.2.1",
    "--node-ip=192.0.2.7",
    "--kube-api-qps=50",
  );
  assert.equal(given.proxyMode, "iptables");
  assert.equal(given.masqueradeAll, false);
  assert.equal(given.kubeconfig, "");
  assert.equal(given.nodeName, "flag");
  assert.equal(given.logging.verbosity, 5);
  assert.deepEqual(given.logging.byPart.map(({ pattern }) => pattern), ["a", "b"]);
  assert.equal(given.master, "https://192.0.2.1");
  assert.deepEqual(given.nodeIPs, ["192.0.2.7"]);
  assert.deepEqual(given.ignored, [
    "--proxy-mode",
    "--masquerade-all",
    "--kubeconfig",
    "--kube-api-qps",
  ]);
  assert.deepEqual(given.withoutEffect, []);
  const fromFile = config(`${HEAD}hostnameOverride: File\nlogging: {verbosity: 1}\n`);
  assert.equal(fromFile.nodeName, "file");
  assert.equal(fromFile.logging.verbosity, 1);
});

Deno.test("null and Go's zero values stand for the defaults, where kube-proxy takes them so", () => {
  const zeros = FIELDS.filter(({ zeroIsUnset }) => zeroIsUnset);
  const file = (value: (zero: unknown) => unknown, fields = zeros) => {
    const object: Record<string, Record<string, unknown> | unknown> = {
      apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
      kind: "KubeProxyConfiguration",
    };
    for (const { path, kind } of fields) {
      const [first, second] = path.split(".");
      if (second === undefined) object[first] = value(kind.zero);
      else ((object[first] ??= {}) as Record<string, unknown>)[second] = value(kind.zero);
    }
    return JSON.stringify(object);
  };
  assert.ok(zeros.length > 10);
  assert.deepEqual(settings(config(file((zero) => zero))), settings(flags(IPVS_DEFAULT)));
  assert.deepEqual(settings(config(file(() => null, [...FIELDS]))), settings(flags(IPVS_DEFAULT)));
});

Deno.test("what the chosen mode does not read is not judged", () => {
  assert.equal(config(`${HEAD}ipvs: {tcpTimeout: -1s, minSyncPeriod: 1h}\n`).proxyMode, null);
  const nftables = config(
    `${HEAD}mode: nftables\nnftables: {masqueradeBit: 3, masqueradeAll: true, syncPeriod: 5s}\n` +
      "iptables: {masqueradeBit: 99, masqueradeAll: false}\n",
  );
  assert.equal(nftables.masqueradeBit, 3);
  assert.equal(nftables.masqueradeAll, true);
  assert.equal(nftables.iptablesSync.periodMs, 5000);
});

Deno.test("in nftables mode node ports answer on the primary addresses unless told otherwise", () => {
  for (const read of [config(`${HEAD}mode: nftables\n`), flags("--proxy-mode=nftables")]) {
    assert.deepEqual(read.nodePortAddresses, ["primary"]);
    assert.deepEqual(read.configuration.nodePortAddresses, ["primary"]);
  }
  const all = config(`${HEAD}mode: nftables\nnodePortAddresses: [0.0.0.0/0]\n`);
  assert.deepEqual(all.nodePortAddresses, ["0.0.0.0/0"]);
  assert.deepEqual(config(`${HEAD}mode: iptables\n`).nodePortAddresses, []);
  assert.deepEqual(
    flags("--proxy-mode=nftables", "--nodeport-addresses=10.0.0.0/8").nodePortAddresses,
    [
      "10.0.0.0/8",
    ],
  );
});

const BAD: [body: string, message: string | RegExp][] = [
  [
    "mode: foo",
    'mode: Invalid value: "foo": must be iptables, ipvs, nftables, userspace or blank (blank means ' +
    "the best that works)",
  ],
  [
    "iptables: {masqueradeBit: 40}",
    "iptables.masqueradeBit: Invalid value: 40: must be within the range [0, 31]",
  ],
  [
    "oomScoreAdj: 5000",
    /^oomScoreAdj: Invalid value: 5000: must be within the range \[-1000, 1000\]/,
  ],
  [
    "conntrack: {tcpEstablishedTimeout: -1s}",
    'conntrack.tcpEstablishedTimeout: Invalid value: "-1s": must be greater than or equal to 0',
  ],
  [
    "iptables: {syncPeriod: 5s, minSyncPeriod: 10s}",
    'iptables.syncPeriod: Invalid value: "5s": must be greater than or equal to ' +
    "iptables.minSyncPeriod",
  ],
  [
    "mode: ipvs\nipvs: {excludeCIDRs: [x]}",
    'ipvs.excludeCIDRs: Invalid value: ["x"]: must be valid CIDRs',
  ],
  ["healthzBindAddress: a:b", 'healthzBindAddress: Invalid value: "a:b": must be IP:port'],
  ["bindAddress: x", /^bindAddress: Invalid value: "x": not a valid textual representation/],
  ["clusterCIDR: foo", /^clusterCIDR: Invalid value: "foo": must be a CIDR or a dual-stack pair/],
  ["nodePortAddresses: [primary, 10.0.0.0/8]", /^nodePortAddresses: .* only the word 'primary'$/],
  [
    "detectLocalMode: BridgeInterface",
    'detectLocal.bridgeInterface: Invalid value: "": must not be empty',
  ],
  ["logging: {format: xml}", 'logging.format: Invalid value: "xml": Unsupported log format'],
  ["configSyncPeriod: -1s", 'configSyncPeriod: Invalid value: "-1s": must be greater than 0'],
  ["mode: 5", "mode: expected text, found 5"],
  ["oomScoreAdj: '5'", 'oomScoreAdj: expected a whole number, found "5"'],
  ["iptables: {syncPeriod: 5}", 'iptables.syncPeriod: expected a duration such as "30s", found 5'],
  ["iptables: {syncPeriod: soon}", /^iptables.syncPeriod: expected a duration .*, found "soon"$/],
  ["conntrack: [5]", "conntrack: expected a map"],
  ["a: [", /at line 4/],
];

for (const [body, message] of BAD) {
  Deno.test(`a bad configuration is refused: ${body.replaceAll("\n", ", ")}`, () => {
    const told = refusal(`${HEAD}${body}\n`);
    if (typeof message === "string") assert.equal(told, message);
    else assert.match(told, message);
  });
}

const UNKNOWN: readonly (readonly [string, string | RegExp])[] = [
  ["mdoe: ipvs", "unknown field mdoe: did you mean mode?"],
  [
    "conntrack: {maxPerCor: 1}",
    "unknown field conntrack.maxPerCor: did you mean conntrack.maxPerCore?",
  ],
  [
    "masqueradeAll: true",
    "unknown field masqueradeAll: did you mean iptables.masqueradeAll or nftables.masqueradeAll?",
  ],
  ["entirelyUnknown: 1", "unknown field entirelyUnknown"],
  ["tracing: {endpoint: x}", /^unknown field tracing: .* OTEL_EXPORTER_OTLP_ENDPOINT$/],
];

Deno.test("an unknown field is told and not counted, as kube-proxy does", () => {
  for (const [body, message] of UNKNOWN) {
    const { withoutEffect, proxyMode } = config(`${HEAD}${body}\noomScoreAdj: -5\n`);
    assert.equal(withoutEffect.length, 1, body);
    if (typeof message === "string") assert.equal(withoutEffect[0], message);
    else assert.match(withoutEffect[0], message);
    assert.equal(proxyMode, null);
  }
  assert.match(refusal(`${HEAD}mdoe: ipvs\nmode: a\n`), /^mode: Invalid value: "a"/);
});

Deno.test("of a field that is there twice the last one counts, as in kube-proxy", () => {
  const { withoutEffect, proxyMode } = config(`${HEAD}mode: iptables\nmode: ipvs\n`);
  assert.equal(proxyMode, "ipvs");
  assert.deepEqual(withoutEffect, [
    "Map keys must be unique at line 4, column 1; the last one counts",
  ]);
});

Deno.test("all that is wrong is told at once, and only configurations are read", () => {
  assert.equal(refusal(`${HEAD}mode: a\noomScoreAdj: 9999\n`).split("; ").length, 2);
  assert.match(refusal(""), /^expected KubeProxyConfiguration, found nothing$/);
  assert.match(refusal("[]"), /found no object$/);
  assert.match(
    refusal("apiVersion: kubeproxy.config.k8s.io/v1alpha2\nkind: KubeProxyConfiguration\n"),
    /^expected kind KubeProxyConfiguration of apiVersion kubeproxy.config.k8s.io\/v1alpha1, found .*v1alpha2"$/,
  );
  assert.match(refusal("kind: KubeProxyConfiguration"), /of none$/);
});

Deno.test("whatever stands in the fields, it is taken or refused in one line", () => {
  const paths = FIELDS.map(({ path }) => path);
  const value = fc.oneof(fc.jsonValue(), fc.constantFrom("0s", "-1s", "5m", "10.0.0.0/8", ":1", 7));
  const fields = fc.dictionary(fc.oneof(fc.constantFrom(...paths), fc.string()), value);
  fc.assert(fc.property(fields, (entries) => {
    const object: Record<string, unknown> = {
      apiVersion: "kubeproxy.config.k8s.io/v1alpha1",
      kind: "KubeProxyConfiguration",
    };
    for (const [path, value] of Object.entries(entries)) {
      const [first, second] = path.split(".");
      if (second === undefined) object[first] = value;
      else object[first] = { ...object[first] as object, [second]: value };
    }
    const text = JSON.stringify(object);
    try {
      const read = config(text);
      assert.deepEqual(settings(config(JSON.stringify(read.configuration))), settings(read));
    } catch (error) {
      if (!(error instanceof UsageError)) throw error;
      assert.ok(!error.message.includes("\n"), error.message);
    }
  }));
});

Deno.test("aliases cannot make a small file large", () => {
  const lists = Array.from(
    { length: 12 },
    (_, i) => `x${i + 1}: &a${i + 1} [${`*a${i}, `.repeat(9)}]`,
  );
  const bomb = `${HEAD}x0: &a0 [1]\n${lists.join("\n")}\n`;
  assert.match(refusal(bomb), /alias/);
});
