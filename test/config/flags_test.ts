import assert from "node:assert/strict";
import { givenAddresses, parseCommandLine } from "../../src/config/config.ts";
import { type FlagCommand, FLAGS, type FlagSpec } from "../../src/config/flag_table.ts";
import { parseFlags } from "../../src/config/flags.ts";
import { flagHelp } from "../../src/config/help.ts";
import { nearestName, UsageError } from "../../src/config/usage.ts";

const config = (...args: string[]) => parseCommandLine(args, "run", () => " Node-A ").config;

function usageError(...args: string[]): string {
  try {
    parseCommandLine(args, "run", () => "node");
  } catch (error) {
    assert.ok(error instanceof UsageError, String(error));
    assert.ok(!error.message.includes("\n"), "one line");
    return error.message;
  }
  assert.fail(`${args.join(" ")} was taken`);
}

Deno.test("flags take their value after a space or an equals sign", () => {
  assert.equal(config("--manifests", "a").manifests, "a");
  assert.equal(config("--manifests=a=b").manifests, "a=b");
  assert.equal(config("--manifests", "-").manifests, "-");
  assert.equal(config("--manifests", "/dev/stdin").manifests, "-");
  for (const args of [["-v", "4"], ["-v=4"], ["-v4"], ["--v=4"], ["--v", "4"]]) {
    assert.equal(config(...args).logging.verbosity, 4, args.join(" "));
  }
});

Deno.test("a boolean flag takes its value only after an equals sign", () => {
  assert.equal(config("--masquerade-all").masqueradeAll, true);
  assert.equal(config("--masquerade-all=true").masqueradeAll, true);
  assert.equal(config("--masquerade-all=false").masqueradeAll, false);
  const line = parseCommandLine(["--masquerade-all", "false"], "run", () => "node");
  assert.equal(line.config.masqueradeAll, true);
  assert.deepEqual(line.positionals, ["false"]);
});

Deno.test("the last value counts, and lists grow", () => {
  assert.equal(config("--manifests=a", "--manifests=b").manifests, "b");
  assert.deepEqual(config("--node-ip=192.0.2.1,2001:DB8::1", "--node-ip", "192.0.2.2").nodeIPs, [
    "192.0.2.1",
    "2001:db8::1",
    "192.0.2.2",
  ]);
});

Deno.test("arguments after -- are not looked at", () => {
  const line = parseCommandLine(
    ["exec", "client", "--", "curl", "-v", "--", "x"],
    "lab",
    () => "n",
  );
  assert.deepEqual(line.positionals, ["exec", "client"]);
  assert.deepEqual(line.rest, ["curl", "-v", "--", "x"]);
});

Deno.test("what is not given has kube-proxy's default", () => {
  const defaults = config();
  assert.equal(defaults.proxyMode, null);
  assert.equal(defaults.nodeName, "node-a");
  assert.deepEqual(defaults.healthzBindAddress, { host: "0.0.0.0", port: 10256 });
  assert.deepEqual(defaults.metricsBindAddress, { host: "127.0.0.1", port: 10249 });
  assert.deepEqual(defaults.apiBindAddress, { host: "127.0.0.1", port: 10247 });
  assert.deepEqual(defaults.iptablesSync, { minMs: 1000, periodMs: 30_000 });
  assert.deepEqual(defaults.withoutEffect, []);
});

Deno.test("listening addresses", () => {
  const healthz = (text: string) => config(`--healthz-bind-address=${text}`).healthzBindAddress;
  assert.deepEqual(healthz("[::]:1"), { host: "::", port: 1 });
  assert.deepEqual(healthz("::"), { host: "::", port: 10256 });
  assert.deepEqual(healthz("127.0.0.1"), { host: "127.0.0.1", port: 10256 });
  assert.deepEqual(healthz(":8080"), { host: "0.0.0.0", port: 8080 });
  assert.equal(healthz(""), null);
});

Deno.test("the old flags of ports count for addresses without one", () => {
  const healthz = (...args: string[]) => config(...args).healthzBindAddress;
  const port = "--healthz-port=11111";
  assert.deepEqual(healthz(port), { host: "0.0.0.0", port: 10256 });
  assert.deepEqual(healthz(port, "--healthz-bind-address=192.0.2.1"), {
    host: "192.0.2.1",
    port: 11111,
  });
  assert.deepEqual(healthz(port, "--healthz-bind-address=[::]:5"), { host: "::", port: 5 });
  assert.equal(healthz(port, "--healthz-bind-address="), null);
  assert.equal(healthz("--healthz-port=0", "--healthz-bind-address=192.0.2.1"), null);
  assert.equal(
    config("--metrics-bind-address=::1", "--metrics-port=7").metricsBindAddress?.port,
    7,
  );
});

Deno.test("the bind address is the node's primary address, unless unspecified", () => {
  const bound = (address: string) => {
    const given = config(`--bind-address=${address}`, "--node-ip=192.0.2.1");
    return [given.bindAddress, ...givenAddresses(given)];
  };
  for (const none of ["0.0.0.0", "::", ""]) assert.deepEqual(bound(none), [null, "192.0.2.1"]);
  assert.deepEqual(bound("192.0.2.9"), ["192.0.2.9", "192.0.2.9", "192.0.2.1"]);
  assert.deepEqual(config("--bind-address=2001:DB8::9").nodeIPs, []);
});

Deno.test("the flags of iptables mode are kube-proxy's", () => {
  const defaults = config();
  assert.equal(defaults.masqueradeBit, 14);
  assert.equal(defaults.localhostNodePorts, true);
  assert.equal(defaults.chainNaming, "documented");
  assert.equal(config("--iptables-chain-naming=current").chainNaming, "current");
  assert.throws(
    () => config("--iptables-chain-naming=old"),
    /expected one of documented, current$/,
  );
  const given = config(
    "--iptables-masquerade-bit=15",
    "--iptables-localhost-nodeports=false",
    "--iptables-min-sync-period=0s",
    "--detect-local-mode=BridgeInterface",
    "--pod-bridge-interface=cbr0",
  );
  assert.equal(given.masqueradeBit, 15);
  assert.equal(given.localhostNodePorts, false);
  assert.deepEqual(given.iptablesSync, { minMs: 0, periodMs: 30_000 });
  assert.equal(given.detectLocalMode, "BridgeInterface");
  assert.equal(given.podBridgeInterface, "cbr0");
  assert.deepEqual(given.withoutEffect, []);
});

Deno.test("a command takes its own flags only", () => {
  const of = (command: FlagCommand, ...args: string[]) => () =>
    parseCommandLine(args, command, () => "node");
  assert.deepEqual(of("explain", "--flows=a", "--iptables-save", "-")().explain, {
    flows: "a",
    iptablesSave: "-",
    ipsetSave: null,
    ipvsadmSave: null,
    nftList: null,
  });
  assert.throws(of("render", "--flows=a"), UsageError);
  assert.throws(of("run", "--iptables-save=a"), UsageError);
  assert.throws(of("cleanup", "--manifests=a"), UsageError);
  assert.throws(of("explain", "--healthz-bind-address="), UsageError);
});

Deno.test("words that kube-proxy takes empty are unset then, and underscores are dashes", () => {
  const given = config("--proxy-mode=", "--detect-local-mode", "", "--ipvs_scheduler=");
  assert.equal(given.proxyMode, null);
  assert.equal(given.detectLocalMode, "ClusterCIDR");
  assert.equal(given.scheduler, null);
  assert.equal(config("--hostname_override=a_b").nodeName, "a_b");
});

Deno.test("a port of 0 is kube-proxy's old way to have no server", () => {
  assert.equal(config("--healthz-port=0").healthzBindAddress, null);
  assert.equal(config("--metrics-port=0").metricsBindAddress, null);
  assert.deepEqual(config("--metrics-port=1").metricsBindAddress, {
    host: "127.0.0.1",
    port: 10249,
  });
});

Deno.test("feature gates and verbosity by part are lists of pairs", () => {
  const given = config(
    "--feature-gates=A=true,B=false",
    "--feature-gates",
    "A=0",
    "--vmodule=a*=5",
  );
  assert.deepEqual([...given.featureGates], [["A", false], ["B", false]]);
  assert.deepEqual(given.logging.byPart, [{ pattern: "a*", verbosity: 5 }]);
});

Deno.test("the periods of modes that are not chosen are not judged, as in kube-proxy", () => {
  assert.equal(config("--ipvs-sync-period=250ms").ipvsSync.periodMs, 250);
  const ipvs = config(
    "--proxy-mode=ipvs",
    "--iptables-sync-period=1s",
    "--iptables-min-sync-period=5s",
  );
  assert.equal(ipvs.iptablesSync.minMs, 5000);
});

Deno.test("flags without effect are told", () => {
  assert.deepEqual(
    config("--kube-api-qps", "50", "--oom-score-adj=-998", "--cleanup-ipvs").withoutEffect,
    ["--kube-api-qps", "--cleanup-ipvs"],
  );
});

const BAD: [args: string[], message: string | RegExp][] = [
  [["--proxy-mode=foo"], '--proxy-mode "foo": expected one of iptables, ipvs, nftables, userspace'],
  [["--proxy-mod", "ipvs"], "unknown flag --proxy-mod: did you mean --proxy-mode?"],
  [["--zzzzzzzzzzzz"], /^unknown flag --zzzzzzzzzzzz: expected one of/],
  [["-x"], /^unknown flag -x: expected one of/],
  [["--manifests"], "--manifests: expected FILE|DIR|- after it"],
  [["--manifests", "--masquerade-all"], "--manifests: expected FILE|DIR|- after it"],
  [["--manifests="], '--manifests "": expected a file, a folder, or - for standard input'],
  [["--masquerade-all=maybe"], '--masquerade-all "maybe": expected true or false'],
  [["-v=high"], '-v "high": expected a whole number from 0 to 2147483647'],
  [["--node-ip=1.2.3"], '--node-ip "1.2.3": "1.2.3": expected an IP address'],
  [["--cluster-cidr=10.0.0.0"], /"10\.0\.0\.0": expected a network such as 10\.244\.0\.0\/16$/],
  [["--cluster-cidr=10.0.0.0/8,11.0.0.0/8"], /expected at most one IPv4 and one IPv6 network$/],
  [["--nodeport-addresses=primary,10.0.0.0/33"], /or the single word "primary"$/],
  [["--iptables-sync-period=soon"], /expected a duration such as 30s, 1m30s or 100ms$/],
  [["--iptables-sync-period=0s"], '--iptables-sync-period "0s": expected more than 0'],
  [
    ["--proxy-mode=ipvs", "--ipvs-min-sync-period=1m"],
    /expected at most --ipvs-sync-period, which is 30s$/,
  ],
  [["--healthz-bind-address=:65536"], /expected an address and port such as 127\.0\.0\.1:10256/],
  [["--metrics-bind-address=localhost:1"], /expected an address and port/],
  [["--api-bind-address=0.0.0.0:1"], /expected --api-token-file too/],
  [
    ["--detect-local-mode=BridgeInterface"],
    '--detect-local-mode "BridgeInterface": expected --pod-bridge-interface too',
  ],
  [
    ["--detect-local-mode", "InterfaceNamePrefix", "--pod-bridge-interface=cbr0"],
    '--detect-local-mode "InterfaceNamePrefix": expected --pod-interface-name-prefix too',
  ],
  [["--pod-bridge-interface=a b"], /expected an interface name of at most 15 characters$/],
  [["--iptables-masquerade-bit=32"], /expected a whole number from 0 to 31$/],
  [["--hostname-override= "], '--hostname-override " ": expected the name of a node'],
  [["--config=/x"], "--config /x: there is no such file"],
  [
    ["--feature-gates=A=maybe"],
    '--feature-gates "A=maybe": "A=maybe": expected NAME=true or NAME=false',
  ],
  [["--vmodule=agent"], '--vmodule "agent": "agent": expected PATTERN=N'],
  [
    ["--vmodule=agent=4", "--logging-format=json"],
    "--vmodule: it is only supported for the text log format",
  ],
];

for (const [args, message] of BAD) {
  Deno.test(`bad usage: ${args.join(" ")}`, () => {
    const told = usageError(...args);
    if (typeof message === "string") assert.equal(told, message);
    else assert.match(told, message);
  });
}

Deno.test("durations are Go's", () => {
  const ms = (text: string) => config(`--iptables-sync-period=${text}`).iptablesSync.periodMs;
  assert.equal(ms("1m30s"), 90_000);
  assert.equal(ms("1.5s"), 1500);
  assert.equal(ms("1h"), 3_600_000);
  assert.equal(ms("2000ms"), 2000);
});

/** kube-proxy's flags on Linux, as of 1.33. */
const KUBE_PROXY_FLAGS = `config write-config-to cleanup init-only feature-gates kubeconfig master
  kube-api-content-type kube-api-burst kube-api-qps hostname-override bind-address
  healthz-bind-address metrics-bind-address bind-address-hard-fail profiling
  show-hidden-metrics-for-version proxy-mode iptables-masquerade-bit masquerade-all
  iptables-localhost-nodeports iptables-sync-period iptables-min-sync-period ipvs-sync-period
  ipvs-min-sync-period ipvs-scheduler ipvs-exclude-cidrs ipvs-strict-arp ipvs-tcp-timeout
  ipvs-tcpfin-timeout ipvs-udp-timeout detect-local-mode pod-bridge-interface
  pod-interface-name-prefix cluster-cidr nodeport-addresses oom-score-adj conntrack-max-per-core
  conntrack-min conntrack-tcp-timeout-established conntrack-tcp-timeout-close-wait
  conntrack-tcp-be-liberal conntrack-udp-timeout conntrack-udp-timeout-stream config-sync-period
  healthz-port metrics-port proxy-port-range cleanup-ipvs v vmodule logging-format
  log-flush-frequency log-json-info-buffer-size log-json-split-stream log-text-info-buffer-size
  log-text-split-stream boot-id-file machine-id-file`.split(/\s+/);

Deno.test("every flag of kube-proxy is known", () => {
  for (const name of KUBE_PROXY_FLAGS) assert.ok(Object.hasOwn(FLAGS, name), name);
});

Deno.test("every default is a value that the flag takes, and the help lists every flag", () => {
  const table: [string, FlagSpec][] = Object.entries(FLAGS);
  for (const [name, spec] of table) {
    for (const command of spec.commands) {
      if (spec.default !== null) parseFlags([`--${name}=${spec.default}`], command);
      assert.match(flagHelp(command), new RegExp(`^  --?${name}( |$)`, "m"));
    }
    assert.equal(spec.support === "without-effect", spec.why !== undefined, name);
  }
});

Deno.test("the nearest name is offered only when it is near", () => {
  assert.equal(nearestName("proxymode", ["proxy-mode", "manifests"]), "proxy-mode");
  assert.equal(nearestName("x", ["v"]), null);
  assert.equal(nearestName("entirely-different", ["v", "manifests"]), null);
});
