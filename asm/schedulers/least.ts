/**
 * The member of least cost: from a tree over the pool where it has one, by a scan otherwise. Costs are
 * whole numbers for lc, and for the others where all weights are equal, as Kubernetes has them: they
 * have a tree of their own, which is quicker.
 */

import { PoolKind, Scheduler } from "../abi";
import { Backend, backendAt, poolIndex } from "../tables/backends";
import { memberAt, NONE, Pool, renewIndex } from "../tables/pools";
import { poolOf, ServicePort, servicePortAt } from "../tables/service_ports";
import { costOf, scan } from "./cost";
import { numerator } from "./fraction";
import { addLoad, leastLoaded, makeLoadTree, updateLoad } from "./load_tree";
import { costNq } from "./nq";
import { costSed } from "./sed";
import { buildTournament, champion, updateTournament } from "./tournament";
import { costWlc } from "./wlc";

/** Up to so many members are scanned, which is quick and needs no room. */
const SMALL: u32 = 16;

/** A member, or NONE. */
export function pickLeast(scheduler: u32, pool: Pool): u32 {
  if (pool.leaves == 0) return scan(scheduler, pool);
  return pool.wholeCosts ? leastLoaded(pool) : champion(pool);
}

/** Builds the tree anew; without room, or for few members, there is none. */
export function buildLeast(scheduler: u32, pool: Pool): void {
  if (pool.count <= SMALL) renewIndex(pool, 0);
  else if (hasWholeCosts(scheduler, pool)) buildLoads(scheduler, pool);
  else buildTournament(scheduler, pool);
}

function hasWholeCosts(scheduler: u32, pool: Pool): bool {
  if (scheduler == Scheduler.Lc) return true;
  // Their costs are of weights alone, or make members unusable.
  if (scheduler == Scheduler.Fo || scheduler == Scheduler.Ovf) return false;
  let common: u32 = 0;
  for (let i: u32 = 0; i < pool.count; i++) {
    const weight = memberAt(pool, i).weight;
    if (weight == 0) continue;
    if (common != 0 && weight != common) return false;
    common = weight;
  }
  return true;
}

function buildLoads(scheduler: u32, pool: Pool): void {
  if (!makeLoadTree(pool)) return;
  pool.wholeCosts = true;
  for (let i: u32 = 0; i < pool.count; i++) {
    const member = memberAt(pool, i);
    if (member.weight > 0) addLoad(pool, i, wholeCost(scheduler, backendAt(member.backend)));
  }
}

/** The cost as of weight 1. */
// @ts-ignore: decorator
@inline
function wholeCost(scheduler: u32, b: Backend): u32 {
  if (scheduler == Scheduler.Sed) return numerator(costSed(b, 1));
  return numerator(scheduler == Scheduler.Nq ? costNq(b, 1) : costWlc(b, 1));
}

/** To be called when a backend has more or fewer connections than before. */
// @ts-ignore: decorator
@inline
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
  if (pool.wholeCosts) updateLoad(pool, index, wholeCost(s.scheduler, b));
  else updateTournament(pool, index, costOf(s.scheduler, memberAt(pool, index)));
}
