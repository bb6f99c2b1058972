/** The schedulers by number: a member for a new connection. */

import { PoolKind, Scheduler } from "../abi";
import { randomState, restoreRandom } from "../random";
import { poolOf, ServicePort } from "../tables/service_ports";
import { Tuple } from "../tuple";
import { pickDh } from "./dh";
import { pickLblc } from "./lblc";
import { pickLblcr } from "./lblcr";
import { pickLeast } from "./least";
import { pickMh } from "./mh";
import { pickRandom } from "./random";
import { pickRr } from "./rr";
import { pickSh } from "./sh";
import { pickTwos } from "./twos";
import { pickWrr } from "./wrr";

/** Index of the member for a new connection with this tuple, or NONE: nobody takes it. */
export function pick(s: ServicePort, kind: PoolKind, t: Tuple): u32 {
  return choose(s, kind, t, true);
}

/** What {@link pick} would answer now; nothing changes. */
export function peek(s: ServicePort, kind: PoolKind, t: Tuple): u32 {
  const saved = randomState();
  const index = choose(s, kind, t, false);
  restoreRandom(saved);
  return index;
}

function choose(s: ServicePort, kind: PoolKind, t: Tuple, commit: bool): u32 {
  const pool = poolOf(s, kind);
  switch (pool.withoutTable ? <u32>Scheduler.Rr : <u32>s.scheduler) {
    case Scheduler.Rr: return pickRr(pool, commit);
    case Scheduler.Wrr: return pickWrr(pool, commit);
    case Scheduler.Lblc: return pickLblc(pool, kind, t, commit);
    case Scheduler.Lblcr: return pickLblcr(pool, kind, t, commit);
    case Scheduler.Dh: return pickDh(pool, t);
    case Scheduler.Sh: return pickSh(pool, s.flags, t);
    case Scheduler.Mh: return pickMh(pool, s.flags, t);
    case Scheduler.Twos: return pickTwos(pool);
    case Scheduler.Random: return pickRandom(pool);
    default: return pickLeast(s.scheduler, pool);
  }
}
