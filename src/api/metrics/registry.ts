/**
 * Making metrics in a registry of one's own: nothing is registered globally.
 *
 * @module
 */

import { Counter, exponentialBuckets, Gauge, Histogram, Registry } from "prom-client";

export { Counter, Gauge, Histogram, Registry };

/** The label by which kube-proxy tells its proxiers apart. */
export type FamilyLabel = "ip_family";

/** Makes gauges. */
export function gaugeIn(registry: Registry) {
  return <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Gauge<L>({ name, help, labelNames, registers: [registry] });
}

/** Makes counters. */
export function counterIn(registry: Registry) {
  return <L extends string>(name: string, help: string, labelNames: readonly L[] = []) =>
    new Counter<L>({ name, help, labelNames, registers: [registry] });
}

/** kube-proxy's buckets for what takes from 1 ms to 16 s, seconds. */
const SYNC_BUCKETS = exponentialBuckets(0.001, 2, 15);

/** Makes histograms of seconds, by IP family. */
export function histogramIn(registry: Registry) {
  return (name: string, help: string, buckets: number[] = SYNC_BUCKETS) =>
    new Histogram<FamilyLabel>({
      name,
      help,
      labelNames: ["ip_family"],
      buckets,
      registers: [registry],
    });
}

/** Sets a counter that is counted elsewhere. */
export function setCounter(counter: Counter, value: number): void {
  counter.reset();
  counter.inc(value);
}
