/**
 * Scales: from values to places on paper, and the round values that are written beside an axis.
 *
 * @module
 */

/** How values lie along an axis. */
export interface Scale {
  /** From 0, the beginning of the axis, to 1, its end. */
  place(value: number): number;
  readonly ticks: readonly number[];
}

/** A scale over a range, a little extended to round values. */
export function scaleOf(kind: "linear" | "log", least: number, most: number): Scale {
  return kind === "log" ? logarithmic(least, most) : linear(least, most);
}

/** Values beyond these have no place on a chart. */
export const SMALLEST = 1e-100;
export const LARGEST = 1e100;

function linear(least: number, most: number): Scale {
  const magnitude = Math.max(Math.abs(least), Math.abs(most));
  // Nearly equal values need not be told apart, and nothing is so small that it could not be.
  const span = most - least > magnitude * 1e-9 ? most - least : magnitude;
  const step = roundStep(span > SMALLEST ? span / 5 : 0.2);
  const first = Math.floor(least / step + 1e-9);
  const last = Math.max(Math.ceil(most / step - 1e-9), first + 1);
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => tidy((first + i) * step));
  const from = first * step;
  const length = (last - first) * step;
  return { place: (value) => (value - from) / length, ticks };
}

/** 1, 2 or 5 times a power of ten. */
function roundStep(rough: number): number {
  const power = 10 ** Math.floor(Math.log10(rough));
  const factor = [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999) ?? 10;
  return factor * power;
}

/** Whole decades; values from 0 down have their place at the beginning. */
function logarithmic(least: number, most: number): Scale {
  const first = Math.floor(Math.log10(least) + 1e-9);
  const last = Math.max(Math.ceil(Math.log10(most) - 1e-9), first + 1);
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => tidy(10 ** (first + i)));
  const place = (value: number) =>
    value <= 0 ? 0 : Math.max(0, (Math.log10(value) - first) / (last - first));
  return { place, ticks };
}

function tidy(value: number): number {
  return Number(value.toPrecision(12));
}
