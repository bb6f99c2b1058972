/** The schedulers as simulations use them: connections that are only counted. */

import { PoolKind, QueryRecord } from "../abi";
import { region } from "../memory";
import { backendAt } from "../tables/backends";
import { memberAt, NONE } from "../tables/pools";
import { poolOf, servicePortAt } from "../tables/service_ports";
import { Tuple, TUPLE_SIZE } from "../tuple";
import { loadChanged } from "./least";
import { pick } from "./pick";

let tuple: usize = 0;

export function layoutWithoutPackets(): void {
  tuple = region(TUPLE_SIZE);
}

/** The backend for a new connection with the addresses and ports of a QueryRecord, or 0. */
export function scheduleQuery(servicePort: u32, kind: PoolKind, query: usize): u32 {
  const s = servicePortAt(servicePort);
  const pool = poolOf(s, kind);
  if (pool.usable == 0) return 0;
  const t = changetype<Tuple>(tuple);
  t.sourceHi = load<u64>(query, QueryRecord.Source);
  t.sourceLo = load<u64>(query, QueryRecord.Source + 8);
  t.destHi = load<u64>(query, QueryRecord.Dest);
  t.destLo = load<u64>(query, QueryRecord.Dest + 8);
  t.ports = <u32>bswap<u16>(load<u16>(query, QueryRecord.SourcePort)) |
    (<u32>bswap<u16>(load<u16>(query, QueryRecord.Port)) << 16);
  const index = pick(s, kind, t);
  return index == NONE ? 0 : memberAt(pool, index).backend;
}

/** So many active connections more, and so many connections in all; or less. */
export function addConnections(backend: u32, active: i32, total: i32): void {
  const b = backendAt(backend);
  b.active += active;
  b.total += total;
  loadChanged(b);
}
