/**
 * Outcomes of simulations as a chart.
 *
 * @module
 */

import { lineChart } from "../chart/line_chart.ts";
import type { Outcome } from "./outcome.ts";
import { nameOf } from "./text.ts";

/** How far the busiest backend is above the mean, over time, as SVG. */
export function chartOutcomes(outcomes: readonly Outcome[]): string {
  return lineChart({
    title: "Open connections of the busiest backend, by weight",
    xLabel: "seconds",
    yLabel: "÷ mean",
    series: outcomes.map((outcome) => ({
      name: nameOf(outcome),
      points: outcome.samples.map(({ second, peak }) => [second, peak] as const),
    })),
    marks: (outcomes[0]?.events ?? []).map(({ second, backend, weight }) => ({
      x: second,
      label: `${backend}: ${weight === null ? "gone" : `weight ${weight}`}`,
    })),
  });
}
