/** Totals, in memory where the host reads them. */

import { Counter, DropReason } from "./abi";
import { region } from "./memory";

/** u64 per {@link Counter}. */
export let counters: usize = 0;
/** u64 per {@link DropReason}. */
export let drops: usize = 0;

export function layoutCounters(): void {
  counters = region(<usize>Counter.Count * 8);
  drops = region(<usize>DropReason.Count * 8);
}

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
