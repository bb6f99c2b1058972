import assert from "node:assert/strict";
import { metricsApp } from "../../src/api/app.ts";
import { Metrics } from "../../src/api/metrics.ts";
import { gates } from "../../src/config/gates.ts";
import { COUNTERS, DEFAULT_RULE_OPTIONS } from "../../src/dataplane/iptables/options.ts";
import { render } from "../../src/dataplane/iptables/render.ts";
import { plannerOf } from "../dataplane/iptables/plans.ts";
import { FixedState } from "./fixtures.ts";

/** The lines of a metrics text must have these. */
function assertLines(text: string, expected: readonly string[]): void {
  const lines = new Set(text.split("\n"));
  for (const line of expected) assert.ok(lines.has(line), `${line}\n${text}`);
}

const PROCESS_NUMBERS = [
  "process_cpu_seconds_total",
  "process_start_time_seconds",
  "process_open_fds",
  "process_max_fds",
  "process_resident_memory_bytes",
  "process_virtual_memory_bytes",
  "switchyard_v8_heap_bytes",
  "switchyard_v8_heap_used_bytes",
];

Deno.test("metrics have kube-proxy's names and the engine's counts", async () => {
  const state = new FixedState();
  const metrics = new Metrics(["IPv4", "IPv6"], "1.2.3");
  metrics.queued({ services: 3, endpoints: 4 });
  metrics.synced({ durationMs: 3, ok: true, waiting: { services: 0, endpoints: 0 } });
  metrics.queued({ services: 1, endpoints: 0 });
  metrics.synced({ durationMs: 3, ok: false, waiting: { services: 0, endpoints: 0 } });
  metrics.programmed([
    { family: "IPv4", ms: 400 },
    { family: "IPv6", ms: 61_000 },
    { family: "IPv6", ms: 400 },
  ]);
  const request = { method: "GET", host: "10.0.0.1:6443", durationMs: 30 };
  metrics.answered({ ...request, status: 200 });
  metrics.answered({ ...request, status: 200 });
  metrics.answered({ ...request, status: null });
  for (let round = 0; round < 2; round++) {
    const text = await metrics.render(state);
    assertLines(text, [
      "kubeproxy_sync_proxy_rules_service_changes_total 4",
      "kubeproxy_sync_proxy_rules_service_changes_pending 1",
      "kubeproxy_sync_proxy_rules_endpoint_changes_total 4",
      "kubeproxy_sync_proxy_rules_endpoint_changes_pending 0",
      'kubeproxy_sync_proxy_rules_duration_seconds_bucket{le="0.002",ip_family="IPv4"} 0',
      'kubeproxy_sync_proxy_rules_duration_seconds_bucket{le="0.004",ip_family="IPv4"} 2',
      'kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family="IPv6",traffic_policy="internal"} 1',
      'kubeproxy_sync_proxy_rules_no_local_endpoints_total{ip_family="IPv4",traffic_policy="external"} 0',
      'kubeproxy_network_programming_duration_seconds_bucket{le="0.25",ip_family="IPv4"} 0',
      'kubeproxy_network_programming_duration_seconds_bucket{le="0.5",ip_family="IPv4"} 1',
      'kubeproxy_network_programming_duration_seconds_bucket{le="300",ip_family="IPv4"} 1',
      'kubeproxy_network_programming_duration_seconds_bucket{le="60",ip_family="IPv6"} 1',
      'kubeproxy_network_programming_duration_seconds_bucket{le="65",ip_family="IPv6"} 2',
      'kubeproxy_network_programming_duration_seconds_bucket{le="300",ip_family="IPv6"} 2',
      'rest_client_requests_total{code="200",method="GET",host="10.0.0.1:6443"} 2',
      'rest_client_requests_total{code="<error>",method="GET",host="10.0.0.1:6443"} 1',
      'rest_client_request_duration_seconds_bucket{le="0.1",verb="GET",host="10.0.0.1:6443"} 3',
      "switchyard_sync_failures_total 1",
      "switchyard_services 4",
      "switchyard_programming 1",
      "switchyard_input_problems 1",
      "switchyard_packets_total 10",
      "switchyard_bytes_total 1000",
      'switchyard_verdicts_total{verdict="FORWARD"} 6',
      'switchyard_verdicts_total{verdict="DROP"} 2',
      'switchyard_dropped_packets_total{reason="malformed"} 2',
      "switchyard_connections 3",
      "switchyard_connections_limit 100",
      "switchyard_connections_created_total 5",
      "switchyard_connections_retried_total 1",
      'switchyard_build_info{version="1.2.3"} 1',
    ]);
    for (const name of ["last_timestamp", "last_queued_timestamp"]) {
      const pattern = new RegExp(
        `^kubeproxy_sync_proxy_rules_${name}_seconds\\{ip_family="IPv6"\\} \\d`,
        "m",
      );
      assert.match(text, pattern);
    }
    for (const name of PROCESS_NUMBERS) {
      const line = new RegExp(`^${name} (\\S+)$`, "m").exec(text);
      assert.ok(line !== null && Number(line[1]) > 0, name);
    }
    assert.doesNotMatch(text, /iptables/);
  }
});

Deno.test("as a component of Kubernetes, build and features are told", async () => {
  const switched = new Map([["ComponentFlagz", false], ["NodeSwap", true]]);
  const text = await new Metrics(["IPv4"], "1.2.3", gates(switched)).render(new FixedState());
  const build = /^kubernetes_build_info\{(.*)\} 1$/m.exec(text);
  assert.ok(build !== null, text);
  const labels = new Map(
    [...build[1].matchAll(/(\w+)="(.*?)"/g)].map(([, name, value]) => [name, value]),
  );
  assert.match(labels.get("git_version")!, /^v1\.33\.0\+switchyard\.1\.2\.3$/);
  assert.deepEqual([labels.get("major"), labels.get("minor")], ["1", "33"]);
  assert.match(labels.get("platform")!, /^linux\/(amd64|arm64)$/);
  assert.deepEqual(text.match(/^kubernetes_feature_enabled.*$/gm), [
    'kubernetes_feature_enabled{name="ComponentFlagz",stage="ALPHA"} 0',
    'kubernetes_feature_enabled{name="ComponentStatusz",stage="ALPHA"} 1',
  ]);
});

Deno.test("/metrics/slis has the metrics server's own health checks", async () => {
  const metrics = new Metrics(["IPv4"], "1");
  const app = metricsApp(new FixedState(), metrics);
  const ask = async (path: string) => await (await app.request(path)).text();
  assert.doesNotMatch(await ask("/metrics/slis"), /kubernetes_healthcheck\{/);
  assert.equal(await ask("/healthz"), "ok");
  assert.equal(await ask("/healthz?verbose"), "[+]ping ok\nhealthz check passed\n");
  assert.equal(
    await ask("/healthz?verbose&exclude=ping&exclude=etcd"),
    "[+]ping excluded: ok\n" +
      'warn: there are no health checks "etcd" to exclude\nhealthz check passed\n',
  );
  assert.equal(await ask("/healthz/ping"), "ok");
  assert.equal((await app.request("/healthz/etcd")).status, 404);
  const text = await ask("/metrics/slis");
  assertLines(text, [
    'kubernetes_healthcheck{name="ping",type="healthz"} 1',
    'kubernetes_healthchecks_total{name="ping",type="healthz",status="success"} 2',
  ]);
  assert.match(text, /^process_start_time_seconds \d/m);
});

Deno.test("iptables mode has more of kube-proxy's", async () => {
  const metrics = new Metrics(["IPv4"], "1");
  const { rules } = render(plannerOf([]).plan, "IPv4", DEFAULT_RULE_OPTIONS);
  metrics.followIptables({
    families: ["IPv4"],
    rules: () => rules,
    lastSync: () => ({ written: { filter: 0, nat: 17 } }),
    countedPackets: () => new Map([[COUNTERS.invalidDropped, 5n]]),
  });
  const attempt = { family: "IPv4", durationMs: 3, ok: true, refused: false } as const;
  metrics.attempted({ ...attempt, full: true });
  metrics.attempted({ ...attempt, full: false, durationMs: 0.5 });
  metrics.attempted({ ...attempt, full: false, ok: false, refused: true });
  metrics.attempted({ ...attempt, full: true, ok: false, refused: true });
  metrics.attempted({ ...attempt, full: true, ok: false });
  metrics.conntrackReconciled({ family: "IPv4", deleted: 3, durationMs: 1.5 });
  for (let round = 0; round < 2; round++) {
    assertLines(await metrics.render(new FixedState()), [
      'kubeproxy_sync_full_proxy_rules_duration_seconds_count{ip_family="IPv4"} 3',
      'kubeproxy_sync_partial_proxy_rules_duration_seconds_count{ip_family="IPv4"} 2',
      'kubeproxy_sync_partial_proxy_rules_duration_seconds_bucket{le="0.001",ip_family="IPv4"} 1',
      // The masquerade rules and the way to node ports; the loopback guard and three for forwarding.
      'kubeproxy_sync_proxy_rules_iptables_total{ip_family="IPv4",table="nat"} 5',
      'kubeproxy_sync_proxy_rules_iptables_total{ip_family="IPv4",table="filter"} 4',
      'kubeproxy_sync_proxy_rules_iptables_last{ip_family="IPv4",table="nat"} 17',
      'kubeproxy_sync_proxy_rules_iptables_last{ip_family="IPv4",table="filter"} 0',
      'kubeproxy_sync_proxy_rules_iptables_restore_failures_total{ip_family="IPv4"} 2',
      'kubeproxy_sync_proxy_rules_iptables_partial_restore_failures_total{ip_family="IPv4"} 1',
      "kubeproxy_iptables_ct_state_invalid_dropped_packets_total 5",
      "kubeproxy_iptables_localhost_nodeports_accepted_packets_total 0",
      'kubeproxy_conntrack_reconciler_deleted_entries_total{ip_family="IPv4"} 3',
      'kubeproxy_conntrack_reconciler_sync_duration_seconds_bucket{le="0.002",ip_family="IPv4"} 1',
    ]);
  }
});

Deno.test("nftables mode has other ones of kube-proxy's", async () => {
  const metrics = new Metrics(["IPv4", "IPv6"], "1");
  metrics.followNftables({
    families: ["IPv4", "IPv6"],
    cleanupFailures: (family) => family === "IPv6" ? 2 : 0,
  });
  const attempt = { family: "IPv4", full: false, durationMs: 3, ok: false } as const;
  metrics.attempted({ ...attempt, refused: true });
  metrics.attempted({ ...attempt, refused: false });
  await metrics.render(new FixedState());
  const text = await metrics.render(new FixedState());
  const rules = "kubeproxy_sync_proxy_rules_nftables";
  assertLines(text, [
    `${rules}_sync_failures_total{ip_family="IPv4"} 1`,
    `${rules}_sync_failures_total{ip_family="IPv6"} 0`,
    `${rules}_cleanup_failures_total{ip_family="IPv4"} 0`,
    `${rules}_cleanup_failures_total{ip_family="IPv6"} 2`,
  ]);
  assert.doesNotMatch(text, /iptables/);
});
