/**
 * The benchmark's rows as a chart.
 *
 * @module
 */

import { lineChart, type Series } from "../../src/chart/line_chart.ts";
import type { Row } from "../report.ts";

/** Lines of the chart: a name in the rows, and what it is called. */
const LINES: readonly (readonly [string, string])[] = [
  ["established/ipv4", "established, IPv4"],
  ["established/ipv6", "established, IPv6"],
  ["udp/ipv4", "UDP, IPv4"],
  ["new/ipv4", "new, IPv4"],
  ["teardown/ipv4", "closing, IPv4"],
];

/** Charts by file name: nanoseconds per packet by the number of connections. */
export function charts(rows: readonly Row[]): Record<string, string> {
  const series = LINES.flatMap(([name, title]): Series[] => [
    { name: title, points: pointsOf(rows, name, ({ median }) => median) },
    {
      name: `${title}, in C`,
      // The twin's time in the same rounds.
      points: pointsOf(rows, name, ({ median, ratio }) => median / ratio!),
    },
  ]);
  return {
    "engine-packets.svg": lineChart({
      title: "A packet through the engine, one core",
      xLabel: "connections",
      yLabel: "ns per packet",
      xScale: "log",
      series: series.filter(({ points }) => points.length > 0),
    }),
  };
}

function pointsOf(
  rows: readonly Row[],
  name: string,
  valueOf: (row: Row) => number,
): [number, number][] {
  return rows.filter((row) => row.name.startsWith(`${name}/`) && row.against === "native")
    .map((row) => [Number(row.name.slice(name.length + 1)), valueOf(row)]);
}
