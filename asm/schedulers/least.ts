/**
 * The member of least cost: from a tree over the pool where it has one, by a scan otherwise. lc, whose
 * costs are whole numbers, has a tree of its own.
 */

import { PoolKind, Scheduler } from "../abi";
import { Backend, backendAt, poolIndex } from "../tables/backends";
import { memberAt, NONE, Pool, renewIndex } from "../tables/pools";
import { poolOf, ServicePort, servicePortAt } from "../tables/service_ports";
import { costOf, scan } from "./cost";
import { addLoad, leastLoaded, makeLoadTree, updateLoad } from "./load_tree";
import { buildTournament, champion, updateTournament } from "./tournament";
import { overhead } from "./wlc";

/** Up to so many members are scanned, which is quick and needs no room. */
const SMALL: u32 = 16;

/** A member, or NONE. */
export function pickLeast(scheduler: u32, pool: Pool): u32 {
  if (pool.leaves == 0) return scan(scheduler, pool);
  return scheduler == Scheduler.Lc ? leastLoaded(pool) : champion(pool);
}

/** Builds the tree anew; without room, or for few members, there is none. */
export function buildLeast(scheduler: u32, pool: Pool): void {
  if (pool.count <= SMALL) renewIndex(pool, 0);
  else if (scheduler == Scheduler.Lc) buildLoads(pool);
  else buildTournament(scheduler, pool);
}

function buildLoads(pool: Pool): void {
  if (!makeLoadTree(pool)) return;
  for (let i: u32 = 0; i < pool.count; i++) {
    const member = memberAt(pool, i);
    if (member.weight > 0) addLoad(pool, i, overhead(backendAt(member.backend)));
  }
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
  const index = poolIndex(b, kind) - 1;
  if (index == NONE) return;
  if (s.scheduler == Scheduler.Lc) updateLoad(pool, index, overhead(b));
  else updateTournament(pool, index, costOf(s.scheduler, memberAt(pool, index)));
}
