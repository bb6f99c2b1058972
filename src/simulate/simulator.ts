/**
 * Simulates on a thread of its own, so that nothing else waits for it, and not for longer than
 * allowed.
 *
 * @module
 */

import { connectWorker } from "../rpc/worker_rpc.ts";
import type { Outcome } from "./outcome.ts";
import type { SimulationMethods } from "./worker.ts";
import type { Scheduling, Workload } from "./workload.ts";

/** A simulation that did not come to its end in time. */
export class SimulationTimeout extends Error {
  override readonly name = "SimulationTimeout";
}

/**
 * The outcomes of several schedulers under one workload, in their order.
 *
 * @throws {SimulationTimeout} after `maxMs` milliseconds.
 */
export async function simulateAside(
  workload: Workload,
  schedulings: readonly Scheduling[],
  maxMs: number,
): Promise<Outcome[]> {
  const worker = new Worker(new URL("./worker.ts", import.meta.url), {
    type: "module",
    name: "simulation",
  });
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(
    () => late.reject(new SimulationTimeout(`the simulation did not end within ${maxMs} ms`)),
    maxMs,
  );
  try {
    const remote = connectWorker<SimulationMethods>(worker);
    const outcomes: Outcome[] = [];
    for (const scheduling of schedulings) {
      outcomes.push(await Promise.race([remote.simulate(workload, scheduling), late.promise]));
    }
    return outcomes;
  } finally {
    clearTimeout(timer);
    worker.terminate();
  }
}
