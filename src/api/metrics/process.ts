/**
 * What Prometheus' own client libraries say of every process, and what V8 has of its memory.
 *
 * @module
 */

import process from "node:process";
import { ownResources } from "../../linux/process.ts";
import {
  type Counter,
  counterIn,
  type Gauge,
  gaugeIn,
  type Registry,
  setCounter,
} from "./registry.ts";

/** Says when this process began. */
export function addStartTime(registry: Registry): void {
  gaugeIn(registry)("process_start_time_seconds", "Start of the process, since the epoch")
    .set(performance.timeOrigin / 1000);
}

/** Time and memory of this process. */
export class ProcessMetrics {
  readonly #resident: Gauge;
  readonly #cpu: Counter;
  readonly #heapTotal: Gauge;
  readonly #heapUsed: Gauge;
  readonly #external: Gauge;
  readonly #resources: ResourceMetrics | null;

  constructor(registry: Registry) {
    const gauge = gaugeIn(registry);
    addStartTime(registry);
    this.#resident = gauge("process_resident_memory_bytes", "Resident memory");
    this.#cpu = counterIn(registry)("process_cpu_seconds_total", "Time on processors");
    this.#heapTotal = gauge("switchyard_v8_heap_bytes", "Size of the main thread's V8 heap");
    this.#heapUsed = gauge("switchyard_v8_heap_used_bytes", "What of V8's heap is in use");
    this.#external = gauge(
      "switchyard_v8_external_bytes",
      "Memory outside of V8's heap that objects in it hold",
    );
    const { v8, deno } = Deno.version;
    gauge("switchyard_runtime_info", "Always 1", ["deno", "v8"]).set({ deno, v8 }, 1);
    // Commands that only ask have not the right to look below /proc.
    const mayLook = Deno.permissions.querySync({ name: "ffi" }).state === "granted";
    this.#resources = mayLook ? new ResourceMetrics(registry) : null;
  }

  update(): void {
    const { rss, heapTotal, heapUsed, external } = Deno.memoryUsage();
    this.#resident.set(rss);
    this.#heapTotal.set(heapTotal);
    this.#heapUsed.set(heapUsed);
    this.#external.set(external);
    const { user, system } = process.cpuUsage();
    setCounter(this.#cpu, (user + system) / 1e6);
    this.#resources?.update();
  }
}

/** What only /proc tells. */
class ResourceMetrics {
  readonly #openFiles: Gauge;
  readonly #maxOpenFiles: Gauge;
  readonly #virtual: Gauge;
  readonly #maxVirtual: Gauge;

  constructor(registry: Registry) {
    const gauge = gaugeIn(registry);
    this.#openFiles = gauge("process_open_fds", "Open file descriptors");
    this.#maxOpenFiles = gauge("process_max_fds", "Most file descriptors that may be open");
    this.#virtual = gauge("process_virtual_memory_bytes", "Virtual memory");
    this.#maxVirtual = gauge(
      "process_virtual_memory_max_bytes",
      "Most virtual memory there may be",
    );
  }

  update(): void {
    const { openFiles, maxOpenFiles, virtualBytes, maxVirtualBytes } = ownResources();
    this.#openFiles.set(openFiles);
    this.#maxOpenFiles.set(maxOpenFiles);
    this.#virtual.set(virtualBytes);
    this.#maxVirtual.set(maxVirtualBytes);
  }
}
