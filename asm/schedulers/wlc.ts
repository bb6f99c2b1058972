/**
 * wlc, ip_vs_wlc.c: least overhead for its weight. lblc, lblcr and twos weigh backends in the same
 * way.
 */

import { Backend } from "../tables/backends";
import { fraction } from "./fraction";

let inactiveOnly: bool = false;

/**
 * Chooses what an overhead is: 256 for every active connection and 1 for every inactive one, as in
 * Linux before 6.1.187 and 6.12.105, or 1 for every connection, active ones too.
 */
export function setInactiveOverhead(on: bool): void {
  inactiveOnly = on;
}

/** The burden of a backend. */
// @ts-ignore: decorator
@inline
export function overhead(b: Backend): u32 {
  return (b.active << 8) + (inactiveOnly ? b.total - b.active : b.total);
}

// @ts-ignore: decorator
@inline
export function costWlc(b: Backend, weight: u32): u64 {
  return fraction(overhead(b), weight);
}
