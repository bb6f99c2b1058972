/**
 * ovf, ip_vs_ovf.c: overflow: the highest weight takes all until it has more active connections
 * than its weight; then the next one does. None when all are full.
 */

import { Backend } from "../tables/backends";
import { costFo } from "./fo";
import { UNUSABLE } from "./fraction";

// @ts-ignore: decorator
@inline
export function costOvf(b: Backend, weight: u32): u64 {
  return b.active > weight ? UNUSABLE : costFo(weight);
}
