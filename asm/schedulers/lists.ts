/** How schedulers follow the lists of backends: beginning, changes, end. */

import { PoolChange, PoolKind, Scheduler } from "../abi";
import { forgetDestinations } from "../tables/destinations";
import { Pool, renewIndex, setPool, steps } from "../tables/pools";
import { poolOf, servicePortAt, updateServicePort } from "../tables/service_ports";
import { hasCosts } from "./cost";
import { buildLeast } from "./least";
import { buildMh } from "./mh";
import { buildSh } from "./sh";
import { bindWrr, followWrr } from "./wrr";

/**
 * Gives a Service port another scheduler, which begins with the lists as they are; the same one goes
 * on where it was.
 */
export function setScheduler(servicePort: u32, scheduler: u32, flags: u32, affinityMs: u32): void {
  const other = servicePortAt(servicePort).scheduler != <u8>scheduler;
  updateServicePort(servicePort, scheduler, flags, affinityMs);
  if (!other) return;
  bind(servicePort, PoolKind.Cluster);
  bind(servicePort, PoolKind.Local);
}

function bind(servicePort: u32, kind: PoolKind): void {
  const s = servicePortAt(servicePort);
  const pool = poolOf(s, kind);
  pool.position = 0;
  forgetDestinations(pool);
  if (s.scheduler == Scheduler.Wrr) bindWrr(pool);
  build(s.scheduler, pool);
}

/** Replaces a list by `count` PoolRecords at `from`. */
export function replaceList(
  servicePort: u32,
  kind: PoolKind,
  from: usize,
  count: u32,
): PoolChange {
  const s = servicePortAt(servicePort);
  const pool = poolOf(s, kind);
  if (!setPool(pool, kind, from, count)) return PoolChange.Refused;
  if (steps > 0 || pool.withoutTable) {
    if (s.scheduler == Scheduler.Wrr) followWrr(pool);
    build(s.scheduler, pool);
  }
  return pool.withoutTable ? PoolChange.WithoutTable : PoolChange.Done;
}

/** Builds anew what the scheduler keeps over the list. */
function build(scheduler: u32, pool: Pool): void {
  let done = true;
  if (hasCosts(scheduler)) buildLeast(scheduler, pool);
  else if (scheduler == Scheduler.Sh) done = buildSh(pool);
  else if (scheduler == Scheduler.Mh) done = buildMh(pool);
  else renewIndex(pool, 0);
  pool.withoutTable = !done;
}

/** Empties the lists of a Service port that goes. */
export function dropLists(servicePort: u32): void {
  const s = servicePortAt(servicePort);
  forgetDestinations(poolOf(s, PoolKind.Cluster));
  forgetDestinations(poolOf(s, PoolKind.Local));
  replaceList(servicePort, PoolKind.Cluster, 0, 0);
  replaceList(servicePort, PoolKind.Local, 0, 0);
}
