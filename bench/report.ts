/**
 * How every benchmark reports: rows of medians with their spread, and the ratio to what was measured
 * beside them in the same run. Machines are noisy: only ratios from one run mean anything.
 *
 * @module
 */

/** One figure. */
export interface Row {
  /** What was measured, as case/variant. */
  readonly name: string;
  readonly unit: string;
  readonly median: number;
  /** Smallest and largest of the rounds. */
  readonly spread: readonly [number, number];
  /** Median over rounds of ours ÷ theirs, when there is something to compare with. */
  readonly ratio?: number;
  /** Smallest and largest ratio over the rounds. */
  readonly ratioSpread?: readonly [number, number];
  /** What `ratio` compares with. */
  readonly against?: string;
}

/** Middle value of a non-empty list. */
export function median(values: readonly number[]): number {
  if (values.length === 0) throw new RangeError("the median of no values");
  const sorted = values.toSorted((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function range(values: readonly number[]): [number, number] {
  return [Math.min(...values), Math.max(...values)];
}

/** A row of values that stand alone. */
export function plainRow(name: string, unit: string, values: readonly number[]): Row {
  return { name, unit, median: median(values), spread: range(values) };
}

/**
 * A row of values measured in interleaved rounds beside another implementation's: `ours[i]` and
 * `theirs[i]` belong to one round, and the ratio is taken within the round.
 */
export function comparedRow(
  name: string,
  unit: string,
  ours: readonly number[],
  against: string,
  theirs: readonly number[],
): Row {
  const ratios = ours.map((value, i) => value / theirs[i]);
  return {
    ...plainRow(name, unit, ours),
    ratio: median(ratios),
    ratioSpread: range(ratios),
    against,
  };
}

/** Rows as aligned text for people. */
export function formatRows(rows: readonly Row[]): string {
  const number = (value: number) =>
    Math.abs(value) >= 1000 ? value.toFixed(0) : Number(value.toPrecision(4)).toString();
  const ratio = (value: number) => value < 0.1 ? value.toPrecision(2) : value.toFixed(2);
  const cells = rows.map((row) => [
    row.name,
    `${number(row.median)} ${row.unit}`,
    `[${number(row.spread[0])} … ${number(row.spread[1])}]`,
    row.ratio === undefined ? "" : `${ratio(row.ratio)} × ${row.against}`,
    row.ratioSpread === undefined ? "" : `[${row.ratioSpread.map(ratio).join(" … ")}]`,
  ]);
  const widths = cells[0]?.map((_, i) => Math.max(...cells.map((row) => row[i].length))) ?? [];
  return cells.map((row) => row.map((cell, i) => cell.padEnd(widths[i])).join("  ").trimEnd())
    .join("\n");
}
