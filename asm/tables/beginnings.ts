/**
 * When connections began: three bytes for each place of conntrack, beside its entries, which have no
 * room left. They count units of 1024 ms, so an age is right for 198 days; then it begins anew.
 */

import { now } from "../clock";
import { region } from "../memory";

const SIZE: usize = 3;
const MASK: u32 = 0xffffff;
/** A unit is 2^10 ms. */
const UNIT_SHIFT: u64 = 10;

let table: usize = 0;

/** Lays out for so many places, numbered from 1. */
export function layoutBeginnings(count: u32): void {
  // Every place is read as four bytes.
  table = region(<usize>(count + 1) * SIZE + 1);
}

// @ts-ignore: decorator
@inline
export function beginningAt(id: u32): usize {
  return table + <usize>id * SIZE;
}

/** The connection in the place begins now. */
// @ts-ignore: decorator
@inline
export function setBeginning(id: u32): void {
  const units = <u32>(now >> UNIT_SHIFT);
  store<u16>(beginningAt(id), <u16>units);
  store<u8>(beginningAt(id), <u8>(units >> 16), 2);
}

/** How long ago the connection in the place began, seconds; a unit more or less. */
export function ageOf(id: u32): u32 {
  const units = (<u32>(now >> UNIT_SHIFT) - load<u32>(beginningAt(id))) & MASK;
  return <u32>((<u64>units << UNIT_SHIFT) / 1000);
}
