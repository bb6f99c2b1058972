/**
 * The engine's schedulers: what a new connection costs by the number of backends, Maglev's table
 * beside C, and, simulated, how evenly they spread load and what a change of the backends does.
 *
 * @module
 */

import type { BenchOptions } from "./options.ts";
import type { Row } from "./report.ts";
import { maglevRows } from "./schedulers/maglev.ts";
import { compileSchedulers } from "./schedulers/module.ts";
import { pickRows } from "./schedulers/pick.ts";
import { disruptionRows, nodesRows, spreadRows } from "./schedulers/simulated.ts";

export { charts } from "./schedulers/charts.ts";

/** Runs the benchmark. */
export async function run(options: BenchOptions): Promise<Row[]> {
  const module = await compileSchedulers();
  return [
    ...pickRows(module, options),
    ...await maglevRows(module, options),
    ...spreadRows(options.rounds),
    ...nodesRows(options.rounds),
    ...disruptionRows(options.rounds),
  ];
}
