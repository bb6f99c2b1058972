/**
 * Requests to the API server, under the names of Kubernetes' own client library.
 *
 * @module
 */

import { type Counter, counterIn, Histogram, type Registry } from "./registry.ts";

/** A request that was answered, or not. */
export interface AnsweredRequest {
  readonly method: string;
  readonly host: string;
  /** Null: there was no answer. */
  readonly status: number | null;
  readonly durationMs: number;
}

/** Counts them, and the time until answers begin. */
export class RequestMetrics {
  readonly #total: Counter<"code" | "method" | "host">;
  readonly #duration: Histogram<"verb" | "host">;

  constructor(registry: Registry) {
    this.#total = counterIn(registry)(
      "rest_client_requests_total",
      "Requests to the API server, by status, method and host",
      ["code", "method", "host"],
    );
    this.#duration = new Histogram({
      name: "rest_client_request_duration_seconds",
      help: "Time until the API server's answer began",
      labelNames: ["verb", "host"],
      buckets: [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2, 4, 8, 15, 30, 60],
      registers: [registry],
    });
  }

  answered({ method, host, status, durationMs }: AnsweredRequest): void {
    this.#total.inc({ code: status === null ? "<error>" : String(status), method, host });
    this.#duration.observe({ verb: method, host }, durationMs / 1000);
  }
}
