/**
 * Times functions beside each other, round by round.
 *
 * @module
 */

import { Bench } from "tinybench";

/**
 * Milliseconds that each function takes for a call: per round the median of its calls, which are one
 * after the other for `ms` milliseconds. Every round has all of them in turn.
 */
export function timeBeside<Name extends string>(
  functions: Readonly<Record<Name, () => void>>,
  rounds: number,
  ms: number,
): Record<Name, number[]> {
  const names = Object.keys(functions) as Name[];
  const times = Object.fromEntries(names.map((name) => [name, []])) as unknown as Record<
    Name,
    number[]
  >;
  for (let round = 0; round < rounds; round++) {
    const bench = new Bench({ time: ms, iterations: 3, warmup: round === 0, warmupTime: ms });
    for (const name of names) bench.add(name, functions[name]);
    bench.runSync();
    for (const { name, result } of bench.tasks) {
      if (result.state !== "completed") throw new Error(`${name}: ${result.state}`);
      times[name as Name].push(result.latency.p50);
    }
  }
  return times;
}
