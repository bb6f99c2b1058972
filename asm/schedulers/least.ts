/** The member of least cost: from the pool's tournament where it has one, by a scan otherwise. */

import { PoolKind } from "../abi";
import { Backend, poolIndex } from "../tables/backends";
import { memberAt, Pool } from "../tables/pools";
import { poolOf, ServicePort, servicePortAt } from "../tables/service_ports";
import { costOf, scan } from "./cost";
import { champion, updateTournament } from "./tournament";

/** A member, or NONE. */
export function pickLeast(scheduler: u32, pool: Pool): u32 {
  return pool.leaves != 0 ? champion(pool) : scan(scheduler, pool);
}

/** To be called when a backend has more or fewer connections than before. */
export function loadChanged(b: Backend): void {
  if (b.servicePort == 0) return;
  const s = servicePortAt(b.servicePort);
  updateIn(s, PoolKind.Cluster, b);
  updateIn(s, PoolKind.Local, b);
}

// @ts-ignore: decorator
@inline
function updateIn(s: ServicePort, kind: PoolKind, b: Backend): void {
  const pool = poolOf(s, kind);
  if (pool.leaves == 0) return;
  const index = poolIndex(b, kind);
  if (index == 0) return;
  updateTournament(pool, index - 1, costOf(s.scheduler, memberAt(pool, index - 1)));
}
