/**
 * What is done to the kernel's connections, under kube-proxy's names.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import {
  type Counter,
  counterIn,
  type FamilyLabel,
  type Histogram,
  histogramIn,
  type Registry,
} from "./registry.ts";

/** Flows that were forgotten because their endpoints are gone. */
export class ConntrackMetrics {
  readonly #deleted: Counter<FamilyLabel>;
  readonly #duration: Histogram<FamilyLabel>;

  constructor(registry: Registry) {
    const name = "kubeproxy_conntrack_reconciler";
    this.#deleted = counterIn(registry)(
      `${name}_deleted_entries_total`,
      "Connections that were forgotten because their endpoints are gone",
      ["ip_family"],
    );
    this.#duration = histogramIn(registry)(
      `${name}_sync_duration_seconds`,
      "Time that looking for such connections took",
    );
  }

  reconciled(done: {
    readonly family: Family;
    readonly deleted: number;
    readonly durationMs: number;
  }): void {
    this.#deleted.inc({ ip_family: done.family }, done.deleted);
    this.#duration.observe({ ip_family: done.family }, done.durationMs / 1000);
  }
}
