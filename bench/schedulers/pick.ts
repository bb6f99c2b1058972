/**
 * What a new connection costs: its pick, and the counts of the one that begins and of another, any,
 * that ends. By the number of backends, and beside a walk along the whole list.
 *
 * @module
 */

import { SCHEDULER_NAMES } from "../../src/plan/scheduling.ts";
import type { SchedulerName } from "../../src/plan/plan.ts";
import type { BenchOptions } from "../options.ts";
import { comparedRow, plainRow, type Row } from "../report.ts";
import { preparedFor, type SchedulerExports } from "./module.ts";
import { timeBeside } from "./timing.ts";

/** Numbers of backends. */
export const SIZES = [10, 100, 1000, 10_000] as const;
/** Weights of backends are random from 1 to this. */
const HEAVIEST = 10;
/** Connections of a timed call: some hundred microseconds, of a walk some milliseconds. */
const CALL = 4096;
const WALKED_CALL = 64;

/** Those that look for the least. */
const SCANNED: readonly SchedulerName[] = ["lc", "wlc", "sed", "nq", "fo", "ovf"];
/** Those of them to which equal weights make a difference. */
const WEIGHING: readonly SchedulerName[] = ["wlc", "sed", "nq"];

/**
 * Rows `pick/SCHEDULER/BACKENDS`, against `scan` where a scheduler looks for the least;
 * `equal/SCHEDULER/BACKENDS`, the same with equal weights, as Kubernetes has them; and
 * `flat/SCHEDULER/10000`, against 10 backends.
 */
export function pickRows(module: WebAssembly.Module, options: BenchOptions): Row[] {
  return [
    ...SCHEDULER_NAMES.flatMap((scheduler) => {
      const rows = rowsOf(module, `pick/${scheduler}`, scheduler, HEAVIEST, options);
      return [...rows.bySize, { ...rows.flat, name: `flat/${scheduler}/${SIZES.at(-1)}` }];
    }),
    ...WEIGHING.flatMap((scheduler) =>
      rowsOf(module, `equal/${scheduler}`, scheduler, 1, options).bySize
    ),
  ];
}

function rowsOf(
  module: WebAssembly.Module,
  name: string,
  scheduler: SchedulerName,
  heaviest: number,
  { rounds, seconds }: BenchOptions,
): { readonly bySize: readonly Row[]; readonly flat: Row } {
  const scanned = SCANNED.includes(scheduler);
  const functions: Record<string, () => void> = {};
  for (const size of SIZES) {
    const exports = filled(module, size, scheduler, heaviest);
    functions[`engine ${size}`] = () => exports.turn(true, CALL);
    if (scanned) functions[`scan ${size}`] = () => exports.turn(false, WALKED_CALL);
  }
  const times = timeBeside(functions, rounds, seconds * 1000 / 60);
  const ours = (size: number) => times[`engine ${size}`].map((ms) => ms * 1e6 / CALL);
  const walked = (size: number) => times[`scan ${size}`].map((ms) => ms * 1e6 / WALKED_CALL);
  const bySize = SIZES.map((size) =>
    scanned
      ? comparedRow(`${name}/${size}`, "ns", ours(size), "scan", walked(size))
      : plainRow(`${name}/${size}`, "ns", ours(size))
  );
  const [few] = SIZES;
  const many = SIZES[SIZES.length - 1];
  const flat = comparedRow(name, "ns", ours(many), "10 backends", ours(few));
  return { bySize, flat };
}

function filled(
  module: WebAssembly.Module,
  backends: number,
  scheduler: SchedulerName,
  heaviest: number,
): SchedulerExports {
  const exports = preparedFor(module, backends, scheduler, heaviest);
  exports.fill(true);
  exports.fill(false);
  return exports;
}
