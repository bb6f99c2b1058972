/**
 * Prometheus metrics: under kube-proxy's names what kube-proxy measures too, under `switchyard_` what
 * the packet engine counts.
 *
 * @module
 */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import { Counter, exponentialBuckets, Gauge, Histogram, Registry } from "prom-client";
import type { EngineCounters } from "../engine/handle.ts";
import type { Family } from "../net/address.ts";
import type { Plan } from "../plan/plan.ts";
import type { ProbeObserver } from "./health.ts";
import type { ApiState } from "./state.ts";

/** What has happened so far, to be scraped. Registers nothing globally. */
export class Metrics implements ProbeObserver {
  readonly #registry = new Registry();
  readonly #families: readonly Family[];
  readonly #engine: EngineMetrics;
  readonly #sync: Histogram<"ip_family">;
  readonly #lastSync: Gauge<"ip_family">;
  readonly #lastQueued: Gauge<"ip_family">;
  readonly #syncFailures: Counter;
  readonly #servicePending: Gauge;
  readonly #serviceTotal: Counter;
  readonly #endpointPending: Gauge;
  readonly #endpointTotal: Counter;
  readonly #noLocalEndpoints: Gauge<"ip_family" | "traffic_policy">;
  readonly #services: Gauge;
  readonly #problems: Gauge;
  readonly #programming: Gauge;
  readonly #probes: Readonly<Record<"healthz" | "livez", Counter<"code">>>;

  /** @param families those that are served: a sync counts for each of them. */
  constructor(families: readonly Family[], version: string) {
    const registers = [this.#registry];
    const gauge = <L extends string>(name: string, help: string, labelNames: L[] = []) =>
      new Gauge({ name, help, labelNames, registers });
    const counter = <L extends string>(name: string, help: string, labelNames: L[] = []) =>
      new Counter({ name, help, labelNames, registers });
    const rules = "kubeproxy_sync_proxy_rules";
    this.#families = families;
    this.#engine = new EngineMetrics(this.#registry);
    this.#sync = new Histogram({
      name: `${rules}_duration_seconds`,
      help: "Time that a sync took",
      labelNames: ["ip_family"],
      buckets: exponentialBuckets(0.001, 2, 15),
      registers,
    });
    this.#lastSync = gauge(`${rules}_last_timestamp_seconds`, "Last successful sync", [
      "ip_family",
    ]);
    this.#lastQueued = gauge(
      `${rules}_last_queued_timestamp_seconds`,
      "Last time that a sync was asked for",
      ["ip_family"],
    );
    this.#syncFailures = counter("switchyard_sync_failures_total", "Syncs that failed");
    this.#servicePending = gauge(
      `${rules}_service_changes_pending`,
      "Service changes that wait for a sync",
    );
    this.#serviceTotal = counter(`${rules}_service_changes_total`, "Service changes");
    this.#endpointPending = gauge(
      `${rules}_endpoint_changes_pending`,
      "EndpointSlice changes that wait for a sync",
    );
    this.#endpointTotal = counter(`${rules}_endpoint_changes_total`, "EndpointSlice changes");
    this.#noLocalEndpoints = gauge(
      `${rules}_no_local_endpoints_total`,
      "Service ports of traffic policy Local without endpoints on this node",
      ["ip_family", "traffic_policy"],
    );
    this.#services = gauge("switchyard_services", "Services in the plan");
    this.#problems = gauge("switchyard_input_problems", "Problems that the input has now");
    this.#programming = gauge(
      "switchyard_programming",
      "1 when this node's traffic is forwarded, 0 when only queries are answered",
    );
    this.#probes = {
      healthz: counter("kubeproxy_proxy_healthz_total", "Answers of /healthz", ["code"]),
      livez: counter("kubeproxy_proxy_livez_total", "Answers of /livez", ["code"]),
    };
    gauge("switchyard_build_info", "Always 1", ["version"]).set({ version }, 1);
    gauge("process_start_time_seconds", "Start of the process, since the epoch")
      .set(performance.timeOrigin / 1000);
    new Gauge({
      name: "process_resident_memory_bytes",
      help: "Resident memory",
      registers,
      collect() {
        this.set(Deno.memoryUsage().rss);
      },
    });
  }

  /** Changes came and wait for the next sync. */
  queued(changes: { readonly services: number; readonly endpoints: number }): void {
    this.#servicePending.inc(changes.services);
    this.#serviceTotal.inc(changes.services);
    this.#endpointPending.inc(changes.endpoints);
    this.#endpointTotal.inc(changes.endpoints);
    for (const family of this.#families) this.#lastQueued.setToCurrentTime({ ip_family: family });
  }

  /** A sync took what waited at its start to the node, or failed to; `waiting` came meanwhile. */
  synced(sync: {
    readonly durationMs: number;
    readonly ok: boolean;
    readonly waiting: { readonly services: number; readonly endpoints: number };
  }): void {
    if (!sync.ok) {
      this.#syncFailures.inc();
      return;
    }
    this.#servicePending.set(sync.waiting.services);
    this.#endpointPending.set(sync.waiting.endpoints);
    for (const family of this.#families) {
      this.#sync.observe({ ip_family: family }, sync.durationMs / 1000);
      this.#lastSync.setToCurrentTime({ ip_family: family });
    }
  }

  probed(probe: "healthz" | "livez", code: number): void {
    this.#probes[probe].inc({ code: String(code) });
  }

  /** The text to scrape (Prometheus exposition format 0.0.4). */
  async render(state: ApiState): Promise<string> {
    this.#engine.update(await state.engine.counters());
    const plan = state.plan();
    this.#services.set(plan.services.size);
    this.#problems.set(state.problems().length);
    this.#programming.set(state.programming ? 1 : 0);
    this.#countNoLocalEndpoints(plan);
    return await this.#registry.metrics();
  }

  #countNoLocalEndpoints(plan: Plan): void {
    const counts = new Map<string, number>();
    for (const service of plan.services.values()) {
      for (const port of service.ports) {
        if (!port.hasEndpoints || port.endpoints.some((end) => end.local && end.serving)) continue;
        const count = (policy: string) => {
          const key = `${port.family} ${policy}`;
          counts.set(key, (counts.get(key) ?? 0) + 1);
        };
        const external = port.frontends.some((frontend) => frontend.kind !== "ClusterIP");
        if (port.internalTrafficPolicy === "Local") count("internal");
        if (external && port.externalTrafficPolicy === "Local") count("external");
      }
    }
    for (const family of this.#families) {
      for (const policy of ["internal", "external"]) {
        const labels = { ip_family: family, traffic_policy: policy };
        this.#noLocalEndpoints.set(labels, counts.get(`${family} ${policy}`) ?? 0);
      }
    }
  }
}

/** What the engine has counted, set anew at every scrape. */
class EngineMetrics {
  readonly #packets: Counter;
  readonly #bytes: Counter;
  readonly #verdicts: Counter<"verdict">;
  readonly #drops: Counter<"reason">;
  readonly #connections: Gauge;
  readonly #created: Counter;
  readonly #limit: Gauge;
  readonly #retried: Counter;

  constructor(registry: Registry) {
    const registers = [registry];
    const counter = <L extends string>(name: string, help: string, labelNames: L[] = []) =>
      new Counter({ name, help, labelNames, registers });
    const gauge = (name: string, help: string) => new Gauge({ name, help, registers });
    this.#packets = counter("switchyard_packets_total", "Packets that came to the engine");
    this.#bytes = counter("switchyard_bytes_total", "Bytes of those packets");
    this.#verdicts = counter("switchyard_verdicts_total", "Packets by verdict", ["verdict"]);
    this.#drops = counter("switchyard_dropped_packets_total", "Dropped packets by reason", [
      "reason",
    ]);
    this.#connections = gauge("switchyard_connections", "Connections that are tracked now");
    this.#limit = gauge("switchyard_connections_limit", "Connections that can be tracked");
    this.#created = counter("switchyard_connections_created_total", "Connections tracked so far");
    this.#retried = counter(
      "switchyard_connections_retried_total",
      "Connections moved to another backend because the first refused or stayed silent",
    );
  }

  update(counters: EngineCounters): void {
    const { forwarded, rejected, passed, dropped, connections } = counters;
    set(this.#packets, counters.packets);
    set(this.#bytes, counters.bytes);
    set(this.#created, connections.created);
    set(this.#retried, counters.retried);
    this.#connections.set(connections.now);
    this.#limit.set(connections.limit);
    const reasons = Object.entries(dropped);
    const drops = reasons.reduce((sum, [, count]) => sum + count, 0);
    this.#verdicts.reset();
    this.#verdicts.inc({ verdict: "FORWARD" }, forwarded);
    this.#verdicts.inc({ verdict: "REJECT" }, rejected);
    this.#verdicts.inc({ verdict: "DROP" }, drops);
    this.#verdicts.inc({ verdict: "PASS" }, passed);
    this.#drops.reset();
    for (const [reason, count] of reasons) this.#drops.inc({ reason }, count);
  }
}

/** Sets a counter that is counted elsewhere. */
function set(counter: Counter, value: number): void {
  counter.reset();
  counter.inc(value);
}

const route = createRoute({
  method: "get",
  path: "/metrics",
  summary: "Prometheus metrics",
  responses: {
    200: { description: "metrics", content: { "text/plain": { schema: z.string() } } },
  },
});

/** Adds the route. */
export function addMetrics(app: OpenAPIHono, state: ApiState, metrics: Metrics): void {
  app.openapi(route, async (context) => {
    context.header("Content-Type", Registry.PROMETHEUS_CONTENT_TYPE);
    return context.body(await metrics.render(state), 200) as never;
  });
}
