/** fo, ip_vs_fo.c: failover: the highest weight takes all. */

import { fraction } from "./fraction";

// @ts-ignore: decorator
@inline
export function costFo(weight: u32): u64 {
  return fraction(1, weight);
}
