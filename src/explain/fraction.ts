/**
 * Exact fractions, for probabilities: a chain of a thousand random choices adds up to 1, not to
 * nearly 1.
 *
 * @module
 */

/** A non-negative rational number. Not reduced: equal numbers may have different terms. */
export interface Fraction {
  readonly numerator: bigint;
  /** Positive. */
  readonly denominator: bigint;
}

export const ZERO: Fraction = { numerator: 0n, denominator: 1n };
export const ONE: Fraction = { numerator: 1n, denominator: 1n };

/** The quotient of two whole numbers, reduced. */
export function fraction(numerator: bigint, denominator: bigint): Fraction {
  const divisor = commonDivisor(numerator, denominator);
  return { numerator: numerator / divisor, denominator: denominator / divisor };
}

/** A decimal such as "0.3333333333", exactly as written; null when it is none or not in 0…1. */
export function parseProbability(text: string): Fraction | null {
  const parts = /^(\d+)(?:\.(\d*))?$/.exec(text);
  if (parts === null) return null;
  const decimals = parts[2] ?? "";
  const value = fraction(BigInt(parts[1] + decimals), 10n ** BigInt(decimals.length));
  return value.numerator > value.denominator ? null : value;
}

/** The product. */
export function multiply(a: Fraction, b: Fraction): Fraction {
  if (a === ONE) return b;
  if (b === ONE) return a;
  return { numerator: a.numerator * b.numerator, denominator: a.denominator * b.denominator };
}

/** The sum. */
export function add(a: Fraction, b: Fraction): Fraction {
  const { numerator: n, denominator: d } = a;
  const { numerator: m, denominator: e } = b;
  if (d === e) return { numerator: n + m, denominator: d };
  if (e % d === 0n) return { numerator: n * (e / d) + m, denominator: e };
  if (d % e === 0n) return { numerator: n + m * (d / e), denominator: d };
  return { numerator: n * e + m * d, denominator: d * e };
}

/** 1 − a. */
export function complement(a: Fraction): Fraction {
  return { numerator: a.denominator - a.numerator, denominator: a.denominator };
}

/** Whether a is greater than b. */
export function exceeds(a: Fraction, b: Fraction): boolean {
  return a.numerator * b.denominator > b.numerator * a.denominator;
}

/** The nearest number, or one within 2⁻⁶⁴ of the fraction when its terms are long. */
export function toNumber({ numerator, denominator }: Fraction): number {
  const safe = BigInt(Number.MAX_SAFE_INTEGER);
  if (numerator <= safe && denominator <= safe) return Number(numerator) / Number(denominator);
  return Number((numerator << 64n) / denominator) / 2 ** 64;
}

function commonDivisor(a: bigint, b: bigint): bigint {
  while (b !== 0n) [a, b] = [b, a % b];
  return a;
}
