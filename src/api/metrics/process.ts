/**
 * What Prometheus' own client libraries say of every process.
 *
 * @module
 */

import process from "node:process";
import {
  type Counter,
  counterIn,
  type Gauge,
  gaugeIn,
  type Registry,
  setCounter,
} from "./registry.ts";

/** Time and memory of this process. */
export class ProcessMetrics {
  readonly #memory: Gauge;
  readonly #cpu: Counter;

  constructor(registry: Registry) {
    const gauge = gaugeIn(registry);
    gauge("process_start_time_seconds", "Start of the process, since the epoch")
      .set(performance.timeOrigin / 1000);
    this.#memory = gauge("process_resident_memory_bytes", "Resident memory");
    this.#cpu = counterIn(registry)("process_cpu_seconds_total", "Time on processors");
  }

  update(): void {
    this.#memory.set(Deno.memoryUsage().rss);
    const { user, system } = process.cpuUsage();
    setCounter(this.#cpu, (user + system) / 1e6);
  }
}
