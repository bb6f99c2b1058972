/**
 * sed, ip_vs_sed.c: shortest expected delay: least active connections for its weight, the new one
 * counted in.
 */

import { Backend } from "../tables/backends";
import { fraction } from "./fraction";

// @ts-ignore: decorator
@inline
export function costSed(b: Backend, weight: u32): u64 {
  return fraction(b.active + 1, weight);
}
