/**
 * Addresses that connections are masqueraded to, by number, so that an entry needs a few bits for
 * its own: a node has one per family, but when that changes the connections of the former one go on.
 */

import { region } from "../memory";

/** Numbers that an entry has bits for; 0 stands for none. */
const NUMBERS: u32 = 32;

@unmanaged
export class MasqueradeAddress {
  hi: u64;
  lo: u64;
  /** Connections that have it. */
  users: u32;
  /** Whether new connections get it. */
  current: bool;
}

const SIZE: usize = (offsetof<MasqueradeAddress>() + 7) & ~7;

let table: usize = 0;
/** Numbers of the present addresses, 0 for none. */
let present4: u32 = 0;
let present6: u32 = 0;

export function layoutMasquerade(): void {
  table = region(<usize>NUMBERS * SIZE);
}

// @ts-ignore: decorator
@inline
export function masqueradeAddressAt(number: u32): MasqueradeAddress {
  return changetype<MasqueradeAddress>(table + <usize>number * SIZE);
}

/** Number of the address that new connections of a family get, or 0. */
// @ts-ignore: decorator
@inline
export function presentAddress(family: u32): u32 {
  return family == 0 ? present4 : present6;
}

function numberOf(hi: u64, lo: u64): u32 {
  let free: u32 = 0;
  for (let number: u32 = 1; number < NUMBERS; number++) {
    const a = masqueradeAddressAt(number);
    const inUse = a.current || a.users != 0;
    if (inUse && a.hi == hi && a.lo == lo) return number;
    if (!inUse && free == 0) free = number;
  }
  return free;
}

/**
 * Sets, or with `present` false takes away, a family's masquerade address. False when too many
 * former ones still have connections: then the last one stays.
 */
export function setMasqueradeAddress(family: u32, present: bool, hi: u64, lo: u64): bool {
  const number = present ? numberOf(hi, lo) : 0;
  if (present && number == 0) return false;
  masqueradeAddressAt(presentAddress(family)).current = false;
  if (family == 0) present4 = number;
  else present6 = number;
  const a = masqueradeAddressAt(number);
  a.hi = hi;
  a.lo = lo;
  a.current = number != 0;
  return true;
}
