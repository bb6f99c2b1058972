/** nq, ip_vs_nq.c: never queue: the first backend without active connections, or else sed. */

import { Backend } from "../tables/backends";
import { fraction } from "./fraction";
import { costSed } from "./sed";

// @ts-ignore: decorator
@inline
export function costNq(b: Backend, weight: u32): u64 {
  return b.active == 0 ? fraction(0, weight) : costSed(b, weight);
}
