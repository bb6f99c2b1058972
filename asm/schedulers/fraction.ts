/**
 * Costs: what the schedulers that look for the least compare. A cost is a fraction, its numerator in
 * the high half and its denominator in the low one.
 */

/** More than any: 1/0. */
export const UNUSABLE: u64 = 1 << 32;

// @ts-ignore: decorator
@inline
export function fraction(numerator: u32, denominator: u32): u64 {
  return (<u64>numerator << 32) | denominator;
}

// @ts-ignore: decorator
@inline
export function numerator(cost: u64): u32 {
  return <u32>(cost >> 32);
}

/** Whether `a` is less than `b`, exactly. */
// @ts-ignore: decorator
@inline
export function isLess(a: u64, b: u64): bool {
  return (b >> 32) * <u64><u32>a > (a >> 32) * <u64><u32>b;
}
