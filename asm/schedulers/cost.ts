/** What it costs a scheduler that looks for the least to pick a member. */

import { Scheduler } from "../abi";
import { backendAt } from "../tables/backends";
import { Member, memberAt, NONE, Pool } from "../tables/pools";
import { costFo } from "./fo";
import { isLess, UNUSABLE } from "./fraction";
import { costLc } from "./lc";
import { costNq } from "./nq";
import { costOvf } from "./ovf";
import { costSed } from "./sed";
import { costWlc } from "./wlc";

/** Whether the scheduler looks for the member of least cost. */
export function hasCosts(scheduler: u32): bool {
  switch (scheduler) {
    case Scheduler.Lc:
    case Scheduler.Wlc:
    case Scheduler.Lblc:
    case Scheduler.Lblcr:
    case Scheduler.Sed:
    case Scheduler.Nq:
    case Scheduler.Fo:
    case Scheduler.Ovf: return true;
    default: return false;
  }
}

/** What it costs a scheduler that {@link hasCosts} to pick the member now. */
// @ts-ignore: decorator
@inline
export function costOf(scheduler: u32, member: Member): u64 {
  const weight = member.weight;
  if (weight == 0) return UNUSABLE;
  const b = backendAt(member.backend);
  switch (scheduler) {
    case Scheduler.Lc: return costLc(b);
    case Scheduler.Sed: return costSed(b, weight);
    case Scheduler.Nq: return costNq(b, weight);
    case Scheduler.Fo: return costFo(weight);
    case Scheduler.Ovf: return costOvf(b, weight);
    default: return costWlc(b, weight);
  }
}

/** The first member of least cost by looking at all, or NONE. */
export function scan(scheduler: u32, pool: Pool): u32 {
  switch (scheduler) {
    case Scheduler.Lc: return scanAs(Scheduler.Lc, pool);
    case Scheduler.Sed: return scanAs(Scheduler.Sed, pool);
    case Scheduler.Nq: return scanAs(Scheduler.Nq, pool);
    case Scheduler.Fo: return scanAs(Scheduler.Fo, pool);
    case Scheduler.Ovf: return scanAs(Scheduler.Ovf, pool);
    default: return scanAs(Scheduler.Wlc, pool);
  }
}

/**
 * Compiled once for each scheduler, so that the loop asks no more which it is. Who is less is chance to
 * the processor: no branch hangs on it.
 */
// @ts-ignore: decorator
@inline
function scanAs(scheduler: u32, pool: Pool): u32 {
  let least = UNUSABLE;
  let found = NONE;
  for (let i: u32 = 0; i < pool.count; i++) {
    const cost = costOf(scheduler, memberAt(pool, i));
    const mask = -(<u64>isLess(cost, least));
    least ^= (least ^ cost) & mask;
    found ^= (found ^ i) & <u32>mask;
  }
  return found;
}
