/**
 * Contenders measured side by side: tinybench runs a number of batches of each, then of each again,
 * round after round, so that a machine that changes its speed changes it for all.
 *
 * @module
 */

import { Bench } from "tinybench";

/** Does one batch and says how many milliseconds the timed part of it took. */
export type Batch = () => number;

/** Medians over the batches of each round, ns per packet, by contender. */
export function contest(
  contenders: Readonly<Record<string, Batch>>,
  options: { readonly rounds: number; readonly batches: number; readonly packets: number },
): Record<string, number[]> {
  const results: Record<string, number[]> = {};
  for (const name of Object.keys(contenders)) {
    results[name] = [];
    for (let i = 0; i < options.batches; i++) contenders[name]();
  }
  for (let round = 0; round < options.rounds; round++) {
    const bench = new Bench({ iterations: options.batches, time: 0, warmup: false });
    for (const [name, batch] of Object.entries(contenders)) {
      bench.add(name, () => ({ overriddenDuration: batch() }));
    }
    bench.runSync();
    for (const { name, result } of bench.tasks) {
      if (result.state !== "completed") throw new Error(`${name}: ${result.state}`);
      results[name].push(result.latency.p50 * 1e6 / options.packets);
    }
  }
  return results;
}
