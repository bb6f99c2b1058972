/**
 * How evenly something is spread over backends, by their weights.
 *
 * @module
 */

/** How uneven amounts are. */
export interface Spread {
  /** What the busiest has for its weight, as a multiple of the mean; 1: perfectly even. */
  readonly peak: number;
  /** What the idlest has, in the same way. */
  readonly least: number;
  /** Coefficient of variation: standard deviation ÷ mean; 0: perfectly even. */
  readonly variation: number;
}

const EVEN: Spread = { peak: 1, least: 1, variation: 0 };

/**
 * The spread of amounts over those that have a weight above 0: of amount ÷ weight, with the weights
 * as frequencies. Nothing spread over anybody is even.
 */
export function spreadOf(
  amounts: ArrayLike<number>,
  weights: readonly (number | null)[],
): Spread {
  let amount = 0;
  let weight = 0;
  for (const [i, own] of weights.entries()) {
    if (!own) continue;
    amount += amounts[i];
    weight += own;
  }
  if (amount === 0) return EVEN;
  const mean = amount / weight;
  let peak = 0;
  let least = Infinity;
  let squares = 0;
  for (const [i, own] of weights.entries()) {
    if (!own) continue;
    const load = amounts[i] / own / mean;
    peak = Math.max(peak, load);
    least = Math.min(least, load);
    squares += own * (load - 1) ** 2;
  }
  return { peak, least, variation: Math.sqrt(squares / weight) };
}
