import assert from "node:assert/strict";
import { metricsApp } from "../../src/api/app.ts";
import { Metrics } from "../../src/api/metrics.ts";
import type { Zpages } from "../../src/api/zpages.ts";
import { zpagesOf } from "../../src/agent/zpages.ts";
import { parseCommandLine } from "../../src/config/config.ts";
import { FixedState } from "./fixtures.ts";

function app(args: readonly string[], more: Partial<Zpages> = {}) {
  const { config } = parseCommandLine(args, "run", () => "node-a");
  const pages = { ...zpagesOf(config, "iptables"), ...more };
  const metrics = metricsApp(new FixedState(), new Metrics(["IPv4"], "1"), pages);
  return (path: string, init?: RequestInit) =>
    Promise.resolve(metrics.request(`http://localhost${path}`, init));
}

Deno.test("/configz is kube-proxy's, with the mode that runs", async () => {
  const ask = app(["--conntrack-max-per-core=0", "--cluster-cidr=10.244.0.0/16,fd00::/64"]);
  const response = await ask("/configz");
  assert.match(response.headers.get("content-type")!, /^application\/json/);
  const { "kubeproxy.config.k8s.io": configuration, ...rest } = await response.json();
  assert.deepEqual(rest, {});
  // The names of kube-proxy 1.33.
  assert.deepEqual(Object.keys(configuration), [
    ...["Linux", "Windows", "FeatureGates", "ClientConnection", "Logging", "HostnameOverride"],
    ...["BindAddress", "HealthzBindAddress", "MetricsBindAddress", "BindAddressHardFail"],
    ...["EnableProfiling", "ShowHiddenMetricsForVersion", "Mode", "IPTables", "IPVS"],
    ...["Winkernel", "NFTables", "DetectLocalMode", "DetectLocal", "NodePortAddresses"],
    ...["SyncPeriod", "MinSyncPeriod", "ConfigSyncPeriod"],
  ]);
  assert.equal(configuration.Mode, "iptables");
  assert.deepEqual(configuration.Linux, {
    Conntrack: {
      MaxPerCore: 0,
      Min: 131072,
      TCPEstablishedTimeout: "24h0m0s",
      TCPCloseWaitTimeout: "1h0m0s",
      TCPBeLiberal: false,
      UDPTimeout: "0s",
      UDPStreamTimeout: "0s",
    },
    MasqueradeAll: false,
    OOMScoreAdj: -999,
  });
  assert.deepEqual(Object.keys(configuration.IPVS), [
    ...["Scheduler", "ExcludeCIDRs", "StrictARP", "TCPTimeout", "TCPFinTimeout", "UDPTimeout"],
  ]);
  assert.deepEqual(Object.keys(configuration.ClientConnection), [
    ...["Kubeconfig", "AcceptContentTypes", "ContentType", "QPS", "Burst"],
  ]);
  assert.deepEqual(configuration.DetectLocal.ClusterCIDRs, ["10.244.0.0/16", "fd00::/64"]);
  assert.equal(configuration.SyncPeriod, "30s");
});

Deno.test("/statusz and /flagz are text, unless their gates are off", async () => {
  const ask = app(["--v=2", "--kubeconfig=/k"]);
  const status = await ask("/statusz");
  assert.equal(status.headers.get("content-type"), "text/plain; charset=utf-8");
  const text = await status.text();
  assert.match(text, /^\nswitchyard statusz\n/);
  assert.match(text, /^Started: \w{3} \w{3} [ \d]\d \d\d:\d\d:\d\d UTC \d{4}$/m);
  assert.match(text, /^Up: \d+ hr \d\d min \d\d sec$/m);
  const flags = await (await ask("/flagz")).text();
  assert.match(flags, /^v=2$/m);
  assert.match(flags, /^kubeconfig=\/k$/m);
  assert.match(flags, /^healthz-bind-address=0\.0\.0\.0:10256$/m);
  const names = [...flags.matchAll(/^([a-z-]+)=/gm)].map(([, name]) => name);
  assert.deepEqual(names, names.toSorted());
  assert.equal((await ask("/flagz", { headers: { accept: "application/json" } })).status, 406);
  const off = app(["--feature-gates=ComponentStatusz=false,ComponentFlagz=false"]);
  assert.equal((await off("/statusz")).status, 404);
  assert.equal((await off("/flagz")).status, 404);
});

Deno.test("nothing is to be debugged unless it is asked for", async () => {
  const ask = app([]);
  for (const path of ["/debug/pprof/", "/debug/pprof/profile", "/debug/flags/v"]) {
    assert.equal((await ask(path)).status, 404, path);
  }
});

Deno.test("with --profiling, verbosity is set and the CPU profiled", async () => {
  const set: number[] = [];
  const ask = app(["--profiling"], { setVerbosity: (verbosity) => set.push(verbosity) });
  assert.equal((await ask("/debug/flags/v", { method: "PUT", body: "5\n" })).status, 200);
  assert.equal((await ask("/debug/flags/v", { method: "PUT", body: "much" })).status, 400);
  assert.equal((await ask("/debug/flags/v", { method: "PUT", body: "1".repeat(200) })).status, 413);
  assert.deepEqual(set, [5]);
  assert.equal((await ask("/debug/pprof/profile?seconds=0")).status, 400);
  const [profile, busy] = await Promise.all([
    ask("/debug/pprof/profile?seconds=1"),
    ask("/debug/pprof/profile?seconds=1"),
  ]);
  assert.deepEqual([profile.status, busy.status], [200, 429]);
  const { nodes, samples } = await profile.json();
  assert.ok(nodes.length > 0 && samples.length > 0);
});
