/**
 * lblc, ip_vs_lblc.c: locality-based: connections to one destination address go to one backend, as
 * long as that is not overloaded while another is half idle; then wlc chooses its next one.
 */

import { Scheduler, PoolKind } from "../abi";
import { backendAt, poolIndex } from "../tables/backends";
import {
  addDestination,
  addToSet,
  clearSet,
  findDestination,
  placeAt,
} from "../tables/destinations";
import { memberAt, NONE, Pool } from "../tables/pools";
import { now } from "../clock";
import { Tuple } from "../tuple";
import { pickLeast } from "./least";

/** Whether a member has more than it should while another has not half of that. */
export function isOverloaded(pool: Pool, index: u32): bool {
  const member = memberAt(pool, index);
  if (backendAt(member.backend).active <= member.weight) return false;
  for (let i: u32 = 0; i < pool.count; i++) {
    const other = memberAt(pool, i);
    if (<u64>backendAt(other.backend).active * 2 < <u64>other.weight) return true;
  }
  return false;
}

/** The destination's member, or NONE. */
export function pickLblc(pool: Pool, kind: PoolKind, t: Tuple, commit: bool): u32 {
  const known = findDestination(pool, t.destHi, t.destLo);
  if (known != null) {
    if (commit) known.usedAt = now;
    const index = known.first == 0 ? 0 : poolIndex(backendAt(placeAt(known.first).backend), kind);
    const usable = index != 0 && memberAt(pool, index - 1).weight > 0;
    if (usable && !isOverloaded(pool, index - 1)) return index - 1;
  }
  const least = pickLeast(Scheduler.Lblc, pool);
  if (least == NONE || !commit) return least;
  const d = known != null ? known : addDestination(pool, t.destHi, t.destLo);
  if (d != null) {
    clearSet(d);
    addToSet(d, memberAt(pool, least).backend);
  }
  return least;
}
