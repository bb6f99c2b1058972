/**
 * Service level indicators, as `/metrics/slis` of every component of Kubernetes has them: what its own
 * health checks have found (KEP-3466).
 *
 * @module
 */

import { addStartTime } from "./process.ts";
import { type Counter, counterIn, type Gauge, gaugeIn, Registry } from "./registry.ts";

/** The results of health checks so far, to be scraped. Those that nobody asked for are not there. */
export class Slis {
  readonly #registry = new Registry();
  readonly #last: Gauge<"name" | "type">;
  readonly #total: Counter<"name" | "status" | "type">;

  constructor() {
    addStartTime(this.#registry);
    this.#last = gaugeIn(this.#registry)(
      "kubernetes_healthcheck",
      "Whether a health check succeeded when it was last made: 1 or 0",
      ["name", "type"],
    );
    this.#total = counterIn(this.#registry)(
      "kubernetes_healthchecks_total",
      "Results of health checks",
      ["name", "status", "type"],
    );
  }

  /** A check of `/healthz` found nothing wrong. */
  succeeded(name: string): void {
    const check = { name, type: "healthz" };
    this.#last.set(check, 1);
    this.#total.inc({ ...check, status: "success" });
  }

  /** The text to scrape (Prometheus exposition format 0.0.4). */
  async render(): Promise<string> {
    return await this.#registry.metrics();
  }
}
