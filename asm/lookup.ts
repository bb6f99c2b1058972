/** Answers about what is and what would be; nothing changes by asking. */

import {
  AnswerRecord,
  CandidateRecord,
  ConnectionRecord,
  LookupReason,
  QueryRecord,
  TupleRecord,
} from "./abi";
import * as decision from "./decide";
import { region } from "./memory";
import { affinityLeft } from "./tables/affinity";
import { backendAt } from "./tables/backends";
import { ageOf } from "./tables/beginnings";
import { find, nextEntry } from "./tables/conntrack";
import {
  ASSURED,
  backendOf,
  Entry,
  entryAt,
  has,
  idOf,
  isNone,
  masqueradeOf,
  ORIGINAL,
  REPLY,
  stateOf,
  timeLeft,
  tupleOf,
} from "./tables/entry";
import { frontendAt } from "./tables/frontends";
import { memberAt, Pool } from "./tables/pools";
import { poolOf, servicePortAt } from "./tables/service_ports";
import { destPort, familyOf, hashTuple, protocolOf, sourcePort, Tuple, TUPLE_SIZE } from "./tuple";

let asked: usize = 0;

export function layoutLookup(): void {
  asked = region(TUPLE_SIZE);
}

/**
 * Replaces the QueryRecord at `at` by its AnswerRecord. `masqueradeAlways` is the engine's option.
 */
export function answerQuery(at: usize, masqueradeAlways: bool): void {
  const t = changetype<Tuple>(asked);
  t.sourceHi = load<u64>(at, QueryRecord.Source);
  t.sourceLo = load<u64>(at, QueryRecord.Source + 8);
  t.destHi = load<u64>(at, QueryRecord.Dest);
  t.destLo = load<u64>(at, QueryRecord.Dest + 8);
  t.ports = <u32>bswap<u16>(load<u16>(at, QueryRecord.SourcePort)) |
    (<u32>bswap<u16>(load<u16>(at, QueryRecord.Port)) << 16);
  t.meta = <u32>load<u8>(at, QueryRecord.Protocol) | (<u32>load<u8>(at, QueryRecord.Family) << 8);
  const exact = load<u8>(at, QueryRecord.HasSourcePort) != 0;
  memory.fill(at, 0, AnswerRecord.Size);
  const action = decision.decide(t);
  store<u8>(at, <u8>decision.sourceClass, AnswerRecord.SourceClass);
  if (decision.frontend != 0) {
    const f = frontendAt(decision.frontend);
    store<u8>(at, f.kind, AnswerRecord.FrontendKind);
    store<u32>(at, f.servicePort, AnswerRecord.ServicePort);
  }
  const e = exact ? find(t, hashTuple(t)) : entryAt(0);
  if (!isNone(e)) return answerTracked(at, e);
  store<u8>(at, <u8>reasonOf(action), AnswerRecord.Reason);
  if (action == decision.FORWARD) answerForward(at, t, masqueradeAlways);
}

function reasonOf(action: u32): LookupReason {
  if (action == decision.NO_FRONTEND) return LookupReason.NoFrontend;
  if (action == decision.OUT_OF_RANGE) return LookupReason.SourceRange;
  if (action == decision.REJECT) return LookupReason.NoEndpoints;
  if (action == decision.DROP) return LookupReason.NoLocalEndpoint;
  return LookupReason.Scheduled;
}

function answerTracked(at: usize, e: Entry): void {
  store<u8>(at, LookupReason.Tracked, AnswerRecord.Reason);
  store<u8>(at, masqueradeOf(e) != 0 ? 1 : 0, AnswerRecord.Masquerade);
  store<u8>(at, <u8>stateOf(e), AnswerRecord.State);
  writeBackend(at, backendOf(e));
}

function writeBackend(at: usize, id: u32): void {
  const b = backendAt(id);
  store<u32>(at, id, AnswerRecord.Backend);
  store<u64>(at, b.addressHi, AnswerRecord.BackendAddress);
  store<u64>(at, b.addressLo, AnswerRecord.BackendAddress + 8);
  store<u16>(at, bswap<u16>(b.port), AnswerRecord.BackendPort);
}

function answerForward(at: usize, t: Tuple, masqueradeAlways: bool): void {
  const f = frontendAt(decision.frontend);
  const s = servicePortAt(f.servicePort);
  const pool = poolOf(s, decision.pool);
  store<u8>(at, <u8>decision.pool, AnswerRecord.Pool);
  store<u8>(at, s.scheduler, AnswerRecord.Scheduler);
  store<u32>(at, pool.count == 0 ? 0 : pool.position % pool.count, AnswerRecord.Cursor);
  store<u32>(at, pool.count, AnswerRecord.Count);
  const id = decision.foresee(t);
  if (id == 0) {
    store<u8>(at, LookupReason.NoUsableBackend, AnswerRecord.Reason);
    return;
  }
  if (decision.byAffinity) {
    const left = affinityLeft(f.servicePort, t.sourceHi, t.sourceLo);
    store<u8>(at, LookupReason.Affinity, AnswerRecord.Reason);
    store<u32>(at, <u32>(left / 1000), AnswerRecord.AffinitySeconds);
  }
  const b = backendAt(id);
  const hairpin = b.addressLo == t.sourceLo && b.addressHi == t.sourceHi;
  const masquerade = decision.masquerade || hairpin || masqueradeAlways;
  store<u8>(at, masquerade ? 1 : 0, AnswerRecord.Masquerade);
  writeBackend(at, id);
}

/** Writes up to `limit` CandidateRecords of a pool, from index `from` on; how many it wrote. */
export function listCandidates(pool: Pool, from: u32, limit: u32, to: usize): u32 {
  let written: u32 = 0;
  for (let i = from; i < pool.count && written < limit; i++) {
    const member = memberAt(pool, i);
    const b = backendAt(member.backend);
    const at = to + <usize>written * CandidateRecord.Size;
    store<u32>(at, member.backend, CandidateRecord.Backend);
    store<u32>(at, member.weight, CandidateRecord.Weight);
    store<u64>(at, b.addressHi, CandidateRecord.Address);
    store<u64>(at, b.addressLo, CandidateRecord.Address + 8);
    store<u16>(at, bswap<u16>(b.port), CandidateRecord.Port);
    written++;
  }
  return written;
}

/** Where {@link listConnections} ended: the cursor for the next page, 0 at the end. */
export let nextCursor: u32 = 0;

/** Writes up to `limit` ConnectionRecords behind `cursor`; how many it wrote. */
export function listConnections(cursor: u32, limit: u32, to: usize): u32 {
  let written: u32 = 0;
  let id = nextEntry(cursor);
  while (id != 0 && written < limit) {
    writeConnection(entryAt(id), to + <usize>written * ConnectionRecord.Size);
    written++;
    cursor = id;
    id = nextEntry(id);
  }
  nextCursor = id == 0 ? 0 : cursor;
  return written;
}

function writeConnection(e: Entry, at: usize): void {
  const o = tupleOf(e, ORIGINAL);
  writeTuple(o, at + ConnectionRecord.Original);
  writeTuple(tupleOf(e, REPLY), at + ConnectionRecord.Reply);
  store<u8>(at, <u8>protocolOf(o), ConnectionRecord.Protocol);
  store<u8>(at, <u8>familyOf(o), ConnectionRecord.Family);
  store<u8>(at, <u8>stateOf(e), ConnectionRecord.State);
  store<u8>(at, has(e, ASSURED) ? 1 : 0, ConnectionRecord.Assured);
  store<u32>(at, ageOf(idOf(e)), ConnectionRecord.Age);
  store<u32>(at, timeLeft(e), ConnectionRecord.ExpiresIn);
  store<u32>(at, backendOf(e), ConnectionRecord.Backend);
}

function writeTuple(t: Tuple, at: usize): void {
  store<u64>(at, t.sourceHi, TupleRecord.Source);
  store<u64>(at, t.sourceLo, TupleRecord.Source + 8);
  store<u64>(at, t.destHi, TupleRecord.Dest);
  store<u64>(at, t.destLo, TupleRecord.Dest + 8);
  store<u16>(at, <u16>sourcePort(t), TupleRecord.SourcePort);
  store<u16>(at, <u16>destPort(t), TupleRecord.DestPort);
}
