/** lc, ip_vs_lc.c: least overhead; weights only tell who takes part. */

import { Backend } from "../tables/backends";
import { fraction } from "./fraction";
import { overhead } from "./wlc";

// @ts-ignore: decorator
@inline
export function costLc(b: Backend): u64 {
  return fraction(overhead(b), 1);
}
