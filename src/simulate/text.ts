/**
 * Outcomes of simulations as text for people.
 *
 * @module
 */

import type { EventOutcome, Outcome } from "./outcome.ts";

const HEADER = [
  "SCHEDULER",
  "PEAK",
  "WORST",
  "VARIATION",
  "GIVEN",
  "REFUSED",
];

/** A table of the schedulers, and what each event did to each of them. */
export function formatOutcomes(outcomes: readonly Outcome[]): string {
  const rows = outcomes.map((outcome) => [
    nameOf(outcome),
    times(outcome.peak.mean),
    times(outcome.peak.worst),
    outcome.variation.mean.toFixed(3),
    outcome.given.variation.toFixed(3),
    `${outcome.refused} of ${outcome.arrived}`,
  ]);
  const lines = [
    "open connections by weight: the busiest backend ÷ the mean (on average, at worst) and the",
    "coefficient of variation, over the second half; the variation of connections given in all",
    "",
    ...aligned([HEADER, ...rows]),
  ];
  for (const [i, event] of (outcomes[0]?.events ?? []).entries()) {
    lines.push("", `at ${event.second} s, ${event.backend}: ${changeOf(event)}`);
    lines.push(...aligned(outcomes.map((outcome) => [
      `  ${nameOf(outcome)}`,
      effectOf(outcome.events[i]),
    ])));
  }
  return lines.join("\n") + "\n";
}

/** The scheduler and its flags. */
export function nameOf({ scheduler, flags }: Pick<Outcome, "scheduler" | "flags">): string {
  return [scheduler, ...flags].join(" ");
}

function times(value: number): string {
  return `${value.toFixed(2)}×`;
}

function changeOf({ weight }: EventOutcome): string {
  if (weight === null) return "gone";
  return weight === 0 ? "drained" : `weight ${weight}`;
}

function effectOf({ broken, moved, rush, settledSeconds, weight }: EventOutcome): string {
  const parts = [
    ...(weight === null ? [`${broken} connections broken`] : []),
    ...(moved === null ? [] : [`${(100 * moved).toFixed(1)} % of clients moved without need`]),
    ...(rush === null ? [] : [`at most ${times(rush)} its part of new connections`]),
    settledSeconds === null ? "not even again" : `even again after ${settledSeconds.toFixed(1)} s`,
  ];
  return parts.join(", ");
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  return rows.map((row) => row.map((cell, i) => cell.padEnd(widths[i])).join("  ").trimEnd());
}
