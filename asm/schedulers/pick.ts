/** The schedulers by number. */

import { Scheduler } from "../abi";
import { randomState, restoreRandom } from "../random";
import { Pool } from "../tables/pools";
import { pickRandom } from "./random";
import { peekRoundRobin, pickRoundRobin } from "./rr";

/** Index of the member for a new connection; the pool has a usable one. */
export function pick(scheduler: u32, pool: Pool): u32 {
  return scheduler == Scheduler.Random ? pickRandom(pool) : pickRoundRobin(pool);
}

/** What {@link pick} would answer now; nothing changes. */
export function peek(scheduler: u32, pool: Pool): u32 {
  if (scheduler != Scheduler.Random) return peekRoundRobin(pool);
  const saved = randomState();
  const index = pickRandom(pool);
  restoreRandom(saved);
  return index;
}
