/**
 * What the packet engine counts, as metrics.
 *
 * @module
 */

import type { EngineCounters } from "../../engine/handle.ts";
import {
  type Counter,
  counterIn,
  type Gauge,
  gaugeIn,
  type Registry,
  setCounter,
} from "./registry.ts";

/** What the engine has counted, set anew at every scrape. */
export class EngineMetrics {
  readonly #packets: Counter;
  readonly #bytes: Counter;
  readonly #verdicts: Counter<"verdict">;
  readonly #drops: Counter<"reason">;
  readonly #connections: Gauge;
  readonly #created: Counter;
  readonly #limit: Gauge;
  readonly #retried: Counter;

  constructor(registry: Registry) {
    const counter = counterIn(registry);
    const gauge = gaugeIn(registry);
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
    setCounter(this.#packets, counters.packets);
    setCounter(this.#bytes, counters.bytes);
    setCounter(this.#created, connections.created);
    setCounter(this.#retried, counters.retried);
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
