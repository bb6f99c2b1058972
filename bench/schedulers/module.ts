/**
 * The engine's schedulers on their own: asm/bench/schedulers.ts, compiled for the benchmark.
 *
 * @module
 */

import { SCHEDULERS } from "../../src/engine/abi.ts";
import type { SchedulerName } from "../../src/plan/plan.ts";
import { compileAssembly } from "../assembly.ts";

/** What asm/bench/schedulers.ts exports. */
export interface SchedulerExports {
  layout(backends: number): number;
  prepare(scheduler: number, flags: number, heaviest: number, seed: bigint): void;
  fill(engine: boolean): void;
  turn(engine: boolean, count: number): void;
  buildMaglev(without: number): number;
}

/** An instance for a number of backends, and its memory. */
export interface SchedulerInstance {
  readonly exports: SchedulerExports;
  readonly memory: WebAssembly.Memory;
}

const SEED = 20_260_101n;

/** Compiles it, as the engine is compiled. */
export function compileSchedulers(): Promise<WebAssembly.Module> {
  return compileAssembly("asm/bench/schedulers.ts");
}

/** An instance with room for so many backends. */
export function instanceFor(module: WebAssembly.Module, backends: number): SchedulerInstance {
  const withMemory = (memory: WebAssembly.Memory) =>
    new WebAssembly.Instance(module, { env: { memory } }).exports as unknown as SchedulerExports;
  const pages = withMemory(new WebAssembly.Memory({ initial: 1 })).layout(backends);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const exports = withMemory(memory);
  exports.layout(backends);
  return { exports, memory };
}

/** An instance with that many backends, of weights from 1 to `heaviest`, under a scheduler. */
export function preparedFor(
  module: WebAssembly.Module,
  backends: number,
  scheduler: SchedulerName,
  heaviest: number,
): SchedulerExports {
  const { exports } = instanceFor(module, backends);
  exports.prepare(SCHEDULERS[scheduler], 0, heaviest, SEED);
  return exports;
}
