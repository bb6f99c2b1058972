/**
 * What becomes of a new connection: frontend, class of the source, source ranges, route, affinity,
 * scheduler. Forwarding and lookups ask the same functions.
 */

import { PoolKind, RouteBits } from "./abi";
import { affinityBackend } from "./tables/affinity";
import { backendAt } from "./tables/backends";
import { admits, Frontend, findFrontend, frontendAt, routeOf } from "./tables/frontends";
import { classify } from "./tables/networks";
import { isUsable, memberAt, NONE, Pool } from "./tables/pools";
import { poolOf, ServicePort, servicePortAt } from "./tables/service_ports";
import { peek, pick } from "./schedulers/pick";
import { Tuple } from "./tuple";

export const NO_FRONTEND: u32 = 0;
export const OUT_OF_RANGE: u32 = 1;
export const REJECT: u32 = 2;
export const DROP: u32 = 3;
export const FORWARD: u32 = 4;

/** What {@link decide} found out on the way, as far as it came. */
export let frontend: u32 = 0;
export let sourceClass: u32 = 0;
export let masquerade: bool = false;
export let pool: PoolKind = PoolKind.Cluster;

/** Decides about a tuple by rules alone. */
export function decide(t: Tuple): u32 {
  return decideAt(findFrontend(t), t);
}

/** The same with the id of the frontend, or 0. */
// @ts-ignore: decorator
@inline
export function decideAt(id: u32, t: Tuple): u32 {
  sourceClass = classify(t.sourceHi, t.sourceLo);
  frontend = id;
  if (frontend == 0) return NO_FRONTEND;
  const f = frontendAt(frontend);
  if (!admits(f, t.sourceHi, t.sourceLo)) return OUT_OF_RANGE;
  const route = routeOf(f, sourceClass);
  const action = route & RouteBits.ActionMask;
  if (action == RouteBits.Reject) return REJECT;
  if (action == RouteBits.Drop) return DROP;
  masquerade = (route & RouteBits.Masquerade) != 0;
  pool = route & RouteBits.Local ? PoolKind.Local : PoolKind.Cluster;
  return FORWARD;
}

/** Whether the answer of {@link choose} or {@link foresee} is the client's affinity. */
export let byAffinity: bool = false;

/** The backend that affinity gives the client, or 0; it must still take new connections. */
function affine(f: Frontend, s: ServicePort, from: Pool, t: Tuple): u32 {
  if (s.affinityMs == 0) return 0;
  const backend = affinityBackend(f.servicePort, t.sourceHi, t.sourceLo);
  return backend != 0 && isUsable(from, pool, backendAt(backend)) ? backend : 0;
}

/**
 * The backend (id) for a new connection, after {@link decide} said FORWARD; 0 when none is usable.
 */
export function choose(t: Tuple): u32 {
  return select(t, true);
}

/** What {@link choose} would answer now; nothing changes. */
export function foresee(t: Tuple): u32 {
  return select(t, false);
}

// @ts-ignore: decorator
@inline
function select(t: Tuple, advance: bool): u32 {
  const f = frontendAt(frontend);
  const s = servicePortAt(f.servicePort);
  const from = poolOf(s, pool);
  byAffinity = false;
  if (from.usable == 0) return 0;
  const known = affine(f, s, from, t);
  if (known != 0) {
    byAffinity = true;
    return known;
  }
  const index = advance ? pick(s, pool, t) : peek(s, pool, t);
  return index == NONE ? 0 : memberAt(from, index).backend;
}
