/**
 * The benchmark's rows as charts.
 *
 * @module
 */

import { lineChart, type Series } from "../../src/chart/line_chart.ts";
import type { Row } from "../report.ts";

/** Charts by file name, of the rows that there are. */
export function charts(rows: readonly Row[]): Record<string, string> {
  return {
    "schedulers-picks.svg": lineChart({
      title: "New connections scheduled per second, one core",
      xLabel: "backends",
      yLabel: "per second",
      xScale: "log",
      yScale: "log",
      series: seriesOf(rows, /^pick\/(\w+)\/(\d+)$/, ({ median }) => 1e9 / median),
    }),
    "schedulers-nodes.svg": lineChart({
      title: "Unevenness of load when nodes schedule on their own",
      xLabel: "nodes",
      yLabel: "coefficient of variation",
      xScale: "log",
      series: seriesOf(rows, /^nodes\/(\w+)\/(\d+)\/variation$/, ({ median }) => median),
    }),
  };
}

/** A line for each first part of the names that match, over the second. */
function seriesOf(
  rows: readonly Row[],
  names: RegExp,
  valueOf: (row: Row) => number,
): Series[] {
  const lines = new Map<string, [number, number][]>();
  for (const row of rows) {
    const [, name, at] = names.exec(row.name) ?? [];
    if (name === undefined) continue;
    if (!lines.has(name)) lines.set(name, []);
    lines.get(name)!.push([Number(at), valueOf(row)]);
  }
  return [...lines].map(([name, points]) => ({ name, points }));
}
