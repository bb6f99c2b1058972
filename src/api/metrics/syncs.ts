/**
 * Syncs and what they bring to the node, under kube-proxy's names.
 *
 * @module
 */

import type { FamilyAttempt } from "../../dataplane/dataplane.ts";
import type { Family } from "../../net/address.ts";
import {
  type Counter,
  counterIn,
  type FamilyLabel,
  type Gauge,
  gaugeIn,
  type Histogram,
  histogramIn,
  type Registry,
} from "./registry.ts";

/** kube-proxy's buckets from the change in the cluster to its rules on the node, seconds. */
const PROGRAMMING_BUCKETS = [
  0.25,
  0.5,
  ...steps(1, 59, 1),
  ...steps(60, 115, 5),
  ...steps(120, 300, 30),
];

function steps(first: number, last: number, step: number): number[] {
  return Array.from({ length: (last - first) / step + 1 }, (_, i) => first + i * step);
}

/** How changes come, wait, and reach the node. */
export class SyncMetrics {
  readonly #families: readonly Family[];
  readonly #duration: Histogram<FamilyLabel>;
  readonly #full: Histogram<FamilyLabel>;
  readonly #partial: Histogram<FamilyLabel>;
  readonly #programming: Histogram<FamilyLabel>;
  readonly #last: Gauge<FamilyLabel>;
  readonly #lastQueued: Gauge<FamilyLabel>;
  readonly #failures: Counter;
  readonly #services: Changes;
  readonly #endpoints: Changes;

  /** @param families those that are served: a sync counts for each of them. */
  constructor(registry: Registry, families: readonly Family[]) {
    const histogram = histogramIn(registry);
    const gauge = gaugeIn(registry);
    const rules = "kubeproxy_sync_proxy_rules";
    this.#families = families;
    this.#duration = histogram(`${rules}_duration_seconds`, "Time that a sync took");
    this.#full = histogram(
      "kubeproxy_sync_full_proxy_rules_duration_seconds",
      "Time that a sync took which compared everything",
    );
    this.#partial = histogram(
      "kubeproxy_sync_partial_proxy_rules_duration_seconds",
      "Time that a sync took which looked only at what had changed",
    );
    this.#programming = histogram(
      "kubeproxy_network_programming_duration_seconds",
      "Time from a change of a Service's pods to its rules on this node",
      PROGRAMMING_BUCKETS,
    );
    this.#last = gauge(`${rules}_last_timestamp_seconds`, "Last successful sync", ["ip_family"]);
    this.#lastQueued = gauge(
      `${rules}_last_queued_timestamp_seconds`,
      "Last time that a sync was asked for",
      ["ip_family"],
    );
    this.#failures = counterIn(registry)("switchyard_sync_failures_total", "Syncs that failed");
    this.#services = new Changes(registry, `${rules}_service_changes`, "Service changes");
    this.#endpoints = new Changes(registry, `${rules}_endpoint_changes`, "EndpointSlice changes");
  }

  /** Changes came and wait for the next sync. */
  queued(changes: { readonly services: number; readonly endpoints: number }): void {
    this.#services.add(changes.services);
    this.#endpoints.add(changes.endpoints);
    for (const ip_family of this.#families) this.#lastQueued.setToCurrentTime({ ip_family });
  }

  /** A sync took what waited at its start to the node, or failed to; `waiting` came meanwhile. */
  synced(sync: {
    readonly durationMs: number;
    readonly ok: boolean;
    readonly waiting: { readonly services: number; readonly endpoints: number };
  }): void {
    for (const ip_family of this.#families) {
      this.#duration.observe({ ip_family }, sync.durationMs / 1000);
      if (sync.ok) this.#last.setToCurrentTime({ ip_family });
    }
    if (!sync.ok) {
      this.#failures.inc();
      return;
    }
    this.#services.wait(sync.waiting.services);
    this.#endpoints.wait(sync.waiting.endpoints);
  }

  /** A data plane tried to bring a family to the plan. */
  attempted({ family, full, durationMs }: FamilyAttempt): void {
    const histogram = full ? this.#full : this.#partial;
    histogram.observe({ ip_family: family }, durationMs / 1000);
  }

  /** Changes in the cluster reached the node so long after they were made, milliseconds. */
  programmed(latencies: readonly { readonly family: Family; readonly ms: number }[]): void {
    for (const { family, ms } of latencies) {
      if (this.#families.includes(family)) {
        this.#programming.observe({ ip_family: family }, ms / 1000);
      }
    }
  }
}

/** Changes of one kind. */
class Changes {
  readonly #pending: Gauge;
  readonly #total: Counter;

  constructor(registry: Registry, name: string, what: string) {
    this.#pending = gaugeIn(registry)(`${name}_pending`, `${what} that wait for a sync`);
    this.#total = counterIn(registry)(`${name}_total`, what);
  }

  add(count: number): void {
    this.#pending.inc(count);
    this.#total.inc(count);
  }

  wait(count: number): void {
    this.#pending.set(count);
  }
}
