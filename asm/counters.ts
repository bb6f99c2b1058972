/** Totals, in memory where the host reads them. */

import { Counter } from "./abi";

/** u64 per {@link Counter}. */
export const counters: usize = memory.data(9 * 8, 8);
/** u64 per {@link DropReason}. */
export const drops: usize = memory.data(29 * 8, 8);

// @ts-ignore: decorator
@inline
export function count(counter: Counter, by: u64 = 1): void {
  const at = counters + (<usize>counter << 3);
  store<u64>(at, load<u64>(at) + by);
}

// @ts-ignore: decorator
@inline
export function countDrop(reason: u32): void {
  const at = drops + (<usize>reason << 3);
  store<u64>(at, load<u64>(at) + 1);
}
