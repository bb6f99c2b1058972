/**
 * Prometheus metrics: under kube-proxy's names what kube-proxy measures too, under `switchyard_` what
 * the packet engine counts.
 *
 * @module
 */

import { createRoute, type OpenAPIHono, z } from "@hono/zod-openapi";
import type { DataPlaneObserver, FamilyAttempt } from "../dataplane/dataplane.ts";
import type { Family } from "../net/address.ts";
import type { ProbeObserver } from "./health.ts";
import { ConntrackMetrics } from "./metrics/conntrack.ts";
import type { Gate } from "../config/gates.ts";
import { EngineMetrics } from "./metrics/engine.ts";
import { type IptablesFigures, IptablesMetrics } from "./metrics/iptables.ts";
import { addKubernetesMetrics } from "./metrics/kubernetes.ts";
import { LocalEndpointMetrics } from "./metrics/local_endpoints.ts";
import { type NftablesFigures, NftablesMetrics } from "./metrics/nftables.ts";
import { ProcessMetrics } from "./metrics/process.ts";
import { type AnsweredRequest, RequestMetrics } from "./metrics/requests.ts";
import { type Counter, counterIn, type Gauge, gaugeIn, Registry } from "./metrics/registry.ts";
import { Slis } from "./metrics/slis.ts";
import { SyncMetrics } from "./metrics/syncs.ts";
import type { ApiState } from "./state.ts";

/** Metrics that only one mode has. */
interface ModeMetrics {
  attempted(attempt: FamilyAttempt): void;
  /** Reads what is to be scraped now. */
  update?(): void;
}

/** What has happened so far, to be scraped. Registers nothing globally. */
export class Metrics implements ProbeObserver, DataPlaneObserver {
  /** The results of the metrics server's own health checks. */
  readonly slis = new Slis();
  readonly #registry = new Registry();
  readonly #syncs: SyncMetrics;
  readonly #conntrack: ConntrackMetrics;
  readonly #localEndpoints: LocalEndpointMetrics;
  readonly #engine: EngineMetrics;
  readonly #process: ProcessMetrics;
  readonly #requests: RequestMetrics;
  #ofMode: ModeMetrics | null = null;
  readonly #services: Gauge;
  readonly #problems: Gauge;
  readonly #programming: Gauge;
  readonly #probes: Readonly<Record<"healthz" | "livez", Counter<"code">>>;

  /**
   * @param families those that are served: a sync counts for each of them.
   * @param gates Kubernetes features that can be switched.
   */
  constructor(families: readonly Family[], version: string, gates: readonly Gate[] = []) {
    const gauge = gaugeIn(this.#registry);
    const counter = counterIn(this.#registry);
    this.#syncs = new SyncMetrics(this.#registry, families);
    this.#conntrack = new ConntrackMetrics(this.#registry);
    this.#localEndpoints = new LocalEndpointMetrics(this.#registry, families);
    this.#engine = new EngineMetrics(this.#registry);
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
    addKubernetesMetrics(this.#registry, version, gates);
    gauge("switchyard_build_info", "Always 1", ["version"]).set({ version }, 1);
    this.#process = new ProcessMetrics(this.#registry);
    this.#requests = new RequestMetrics(this.#registry);
  }

  /** From here on, iptables mode's own metrics are there too. */
  followIptables(figures: IptablesFigures): void {
    this.#ofMode = new IptablesMetrics(this.#registry, figures);
  }

  /** From here on, nftables mode's own metrics are there too. */
  followNftables(figures: NftablesFigures): void {
    this.#ofMode = new NftablesMetrics(this.#registry, figures);
  }

  /** See {@link SyncMetrics.queued}. */
  queued(changes: Parameters<SyncMetrics["queued"]>[0]): void {
    this.#syncs.queued(changes);
  }

  /** See {@link SyncMetrics.synced}. */
  synced(sync: Parameters<SyncMetrics["synced"]>[0]): void {
    this.#syncs.synced(sync);
  }

  /** See {@link SyncMetrics.programmed}. */
  programmed(latencies: Parameters<SyncMetrics["programmed"]>[0]): void {
    this.#syncs.programmed(latencies);
  }

  attempted(attempt: FamilyAttempt): void {
    this.#syncs.attempted(attempt);
    this.#ofMode?.attempted(attempt);
  }

  conntrackReconciled(done: Parameters<DataPlaneObserver["conntrackReconciled"]>[0]): void {
    this.#conntrack.reconciled(done);
  }

  /** A request to the API server was answered, or not. */
  answered(request: AnsweredRequest): void {
    this.#requests.answered(request);
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
    this.#localEndpoints.update(plan);
    this.#ofMode?.update?.();
    this.#process.update();
    return await this.#registry.metrics();
  }
}

function scrapeRoute<Path extends string>(path: Path, summary: string) {
  return createRoute({
    method: "get",
    path,
    summary,
    responses: {
      200: { description: "metrics", content: { "text/plain": { schema: z.string() } } },
    },
  });
}

const metricsRoute = scrapeRoute("/metrics", "Prometheus metrics");
const slisRoute = scrapeRoute("/metrics/slis", "Service level indicators for Prometheus");

/** Adds both routes. */
export function addMetrics(app: OpenAPIHono, state: ApiState, metrics: Metrics): void {
  app.openapi(metricsRoute, async (context) => {
    context.header("Content-Type", Registry.PROMETHEUS_CONTENT_TYPE);
    return context.body(await metrics.render(state), 200) as never;
  });
  app.openapi(slisRoute, async (context) => {
    context.header("Content-Type", Registry.PROMETHEUS_CONTENT_TYPE);
    return context.body(await metrics.slis.render(), 200) as never;
  });
}
