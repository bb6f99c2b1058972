/**
 * lblcr, ip_vs_lblcr.c: as lblc, with a set of backends for each destination, which grows when all of
 * them are overloaded and loses its most loaded one when it has not changed for a day.
 */

import { Scheduler, PoolKind } from "../abi";
import { backendAt, poolIndex } from "../tables/backends";
import {
  addDestination,
  addToSet,
  Destination,
  EXPIRATION,
  findDestination,
  isInSet,
  placeAt,
  removeFromSet,
} from "../tables/destinations";
import { memberAt, NONE, Pool } from "../tables/pools";
import { now } from "../clock";
import { Tuple } from "../tuple";
import { costOf } from "./cost";
import { isLess, UNUSABLE } from "./fraction";
import { isOverloaded } from "./lblc";
import { pickLeast } from "./least";
import { costWlc } from "./wlc";

/** The set's member of least overhead for its weight, or NONE. */
function leastOf(pool: Pool, kind: PoolKind, d: Destination): u32 {
  let least = UNUSABLE;
  let found = NONE;
  for (let id = d.first; id != 0; id = placeAt(id).next) {
    const index = poolIndex(backendAt(placeAt(id).backend), kind);
    if (index == 0) continue;
    const cost = costOf(Scheduler.Lblcr, memberAt(pool, index - 1));
    if (isLess(cost, least)) {
      least = cost;
      found = index - 1;
    }
  }
  return found;
}

/** The set's backend of most overhead for its weight, also one that has left the list; or 0. */
function mostOf(d: Destination): u32 {
  let most: u64 = 0;
  let found: u32 = 0;
  for (let id = d.first; id != 0; id = placeAt(id).next) {
    const b = backendAt(placeAt(id).backend);
    if (b.weight == 0) continue;
    const cost = costWlc(b, b.weight);
    if (found != 0 && !isLess(most, cost)) continue;
    most = cost;
    found = placeAt(id).backend;
  }
  return found;
}

/** A member of the destination's set, or NONE. */
export function pickLblcr(pool: Pool, kind: PoolKind, t: Tuple, commit: bool): u32 {
  const known = findDestination(pool, t.destHi, t.destLo);
  if (known != null) {
    if (commit) known.usedAt = now;
    const index = leastOf(pool, kind, known);
    if (commit && known.size > 1 && now > known.changedAt + EXPIRATION) {
      const most = mostOf(known);
      if (most != 0) removeFromSet(known, most);
    }
    if (index != NONE && !isOverloaded(pool, index)) return index;
  }
  const least = pickLeast(Scheduler.Lblcr, pool);
  if (least == NONE || !commit) return least;
  const d = known != null ? known : addDestination(pool, t.destHi, t.destLo);
  const backend = memberAt(pool, least).backend;
  if (d != null && !isInSet(d, backend)) addToSet(d, backend);
  return least;
}
