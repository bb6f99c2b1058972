/**
 * Questions to the engine, and its answers in the words of the rest.
 *
 * @module
 */

import { flat } from "../flat_text.ts";
import { familyOf, formatSocketAddress } from "../net/address.ts";
import {
  AnswerRecord,
  CandidateRecord,
  ConnectionRecord,
  familyNumber,
  FRONTEND_KINDS,
  LookupReason,
  PoolKind,
  PROTOCOL_NUMBERS,
  protocolName,
  QueryRecord,
  Scheduler,
  SCHEDULERS,
  SCTP_STATES,
  SOURCE_CLASSES,
  TCP_STATES,
  TupleRecord,
} from "./abi.ts";
import {
  type BasedResult,
  type Basis,
  type ConntrackEntry,
  type LookupResult,
  type PacketQuery,
} from "./handle.ts";
import type { EngineExports } from "./module.ts";
import type { Scratch } from "./scratch.ts";
import type { PlanTables } from "./tables.ts";
import { VERDICTS } from "./verdicts.ts";

const SCHEDULER_NAMES = new Map(
  Object.entries(SCHEDULERS).map(([name, scheduler]) => [scheduler, name]),
);

/** Schedulers that ask of a weight only whether it is 0. */
const IGNORES_WEIGHT: readonly Scheduler[] = [Scheduler.Rr, Scheduler.Lc];

/** Schedulers that give the same packet the same backend as long as these are what they are. */
const ALWAYS_SAME: readonly Scheduler[] = [
  Scheduler.Dh,
  Scheduler.Sh,
  Scheduler.Mh,
  Scheduler.Fo,
  Scheduler.Ovf,
];

/** Asks one engine. */
export class Questions {
  readonly #engine: EngineExports;
  readonly #scratch: Scratch;
  readonly #tables: PlanTables;
  readonly #words: Uint32Array<ArrayBuffer>;

  constructor(engine: EngineExports, scratch: Scratch, tables: PlanTables) {
    this.#engine = engine;
    this.#scratch = scratch;
    this.#tables = tables;
    const { buffer, byteOffset } = scratch.view;
    this.#words = new Uint32Array(buffer, byteOffset, AnswerRecord.Size / 4);
  }

  /** Where a packet would go now. Throws TypeError when an address is none or families differ. */
  lookup(query: PacketQuery, nowMs: number): LookupResult {
    this.#ask(query, nowMs);
    return this.#answer(query);
  }

  /** The same, or null when it rests on what is known. */
  lookupIfChanged(query: PacketQuery, nowMs: number, known: Basis | null): BasedResult | null {
    this.#ask(query, nowMs);
    if (known !== null && this.#restsOn(known)) return null;
    const basis = Uint32Array.of(this.#revision(), ...this.#words);
    return { basis, result: this.#answer(query) };
  }

  /** Of what gives the numbers of the engine's answer their meaning. */
  #revision(): number {
    const { view } = this.#scratch;
    const tracked = view.getUint8(AnswerRecord.Reason) === LookupReason.Tracked;
    return this.#tables.revision(tracked ? 0 : view.getUint32(AnswerRecord.ServicePort, true));
  }

  #restsOn(basis: Basis): boolean {
    if (basis[0] !== this.#revision()) return false;
    for (let i = 0; i < this.#words.length; i++) {
      if (basis[i + 1] !== this.#words[i]) return false;
    }
    return true;
  }

  #ask(query: PacketQuery, nowMs: number): void {
    this.#writeQuery(query);
    this.#engine.lookup(nowMs);
  }

  /** The engine's answer in the scratch area, in words. */
  #answer(query: PacketQuery): LookupResult {
    const { view } = this.#scratch;
    const reason: LookupReason = view.getUint8(AnswerRecord.Reason);
    const backendId = view.getUint32(AnswerRecord.Backend, true);
    const servicePort = view.getUint32(AnswerRecord.ServicePort, true);
    const tracked = reason === LookupReason.Tracked;
    const planned = this.#tables.backend(backendId);
    const service = tracked ? planned?.service ?? null : this.#tables.serviceName(servicePort);
    const backend = backendId === 0 ? null : {
      // Who is new gets a backend of the plan, which has its address as text.
      address: !tracked && planned !== null
        ? planned.address
        : this.#scratch.readAddress(AnswerRecord.BackendAddress),
      port: view.getUint16(AnswerRecord.BackendPort, true),
    };
    const details = {
      state: view.getUint8(AnswerRecord.State),
      pool: view.getUint8(AnswerRecord.Pool) as PoolKind,
      scheduler: view.getUint8(AnswerRecord.Scheduler) as Scheduler,
      affinitySeconds: view.getUint32(AnswerRecord.AffinitySeconds, true),
      cursor: view.getUint32(AnswerRecord.Cursor, true),
      count: view.getUint32(AnswerRecord.Count, true),
    };
    const known = service !== null && (!tracked || servicePort !== 0);
    const frontend = known ? FRONTEND_KINDS[view.getUint8(AnswerRecord.FrontendKind)] : null;
    const only = reason === LookupReason.Tracked || reason === LookupReason.Affinity ||
      ALWAYS_SAME.includes(details.scheduler);
    return {
      verdict: VERDICTS[reason],
      service,
      frontend,
      sourceClass: SOURCE_CLASSES[view.getUint8(AnswerRecord.SourceClass)],
      backend,
      masquerade: view.getUint8(AnswerRecord.Masquerade) !== 0,
      reason: explain(reason, query, service, details),
      // Asked for last: candidates take the answer's place.
      backends: only && backend !== null
        ? [{ ...backend, probability: 1 }]
        : reason === LookupReason.Scheduled
        ? this.#candidates(servicePort, details.pool, details.scheduler)
        : [],
    };
  }

  #writeQuery({ source, sourcePort, dest, port, protocol }: PacketQuery): void {
    if (familyOf(source) !== familyOf(dest)) {
      throw new TypeError(`source ${source} and destination ${dest} are of different IP families`);
    }
    const { view } = this.#scratch;
    this.#scratch.clear(0, QueryRecord.Size);
    this.#scratch.writeAddress(QueryRecord.Source, source);
    this.#scratch.writeAddress(QueryRecord.Dest, dest);
    view.setUint16(QueryRecord.SourcePort, sourcePort ?? 0, true);
    view.setUint16(QueryRecord.Port, port, true);
    view.setUint8(QueryRecord.Protocol, PROTOCOL_NUMBERS[protocol]);
    view.setUint8(QueryRecord.Family, familyNumber(familyOf(dest)));
    view.setUint8(QueryRecord.HasSourcePort, sourcePort === undefined ? 0 : 1);
  }

  #candidates(
    servicePort: number,
    pool: PoolKind,
    scheduler: Scheduler,
  ): { address: string; port: number; probability: number }[] {
    const page = Math.floor(this.#scratch.size / CandidateRecord.Size);
    const { view } = this.#scratch;
    const ignoresWeight = IGNORES_WEIGHT.includes(scheduler);
    const usable: { address: string; port: number; probability: number }[] = [];
    let total = 0;
    for (let from = 0;;) {
      const count = this.#engine.candidates(servicePort, pool, from, page);
      for (let i = 0; i < count; i++) {
        const at = i * CandidateRecord.Size;
        const weight = view.getUint32(at + CandidateRecord.Weight, true);
        if (weight === 0) continue;
        const share = ignoresWeight ? 1 : weight;
        total += share;
        // Those of a list are in the plan, which has their addresses as text.
        const id = view.getUint32(at + CandidateRecord.Backend, true);
        const { address, port } = this.#tables.backend(id)!;
        usable.push({ address, port, probability: share });
      }
      from += count;
      if (count < page) break;
    }
    for (const backend of usable) backend.probability /= total;
    return usable;
  }

  /** A page of connections: at most `limit`, behind `cursor`. */
  conntrack(
    cursor: number,
    limit: number,
    nowMs: number,
  ): { entries: ConntrackEntry[]; next: number | null } {
    const page = Math.floor(this.#scratch.size / ConnectionRecord.Size);
    const count = this.#engine.connections(cursor, Math.max(0, Math.min(limit, page)), nowMs);
    const entries = Array.from({ length: count }, (_, i) => this.#connection(i));
    const next = this.#engine.connectionsNext();
    return { entries, next: next === 0 ? null : next };
  }

  #connection(index: number): ConntrackEntry {
    const { view } = this.#scratch;
    const at = index * ConnectionRecord.Size;
    const protocol = protocolName(view.getUint8(at + ConnectionRecord.Protocol));
    const assured = view.getUint8(at + ConnectionRecord.Assured) !== 0;
    return {
      protocol,
      state: stateName(protocol, view.getUint8(at + ConnectionRecord.State), assured),
      original: this.#tuple(at + ConnectionRecord.Original),
      reply: this.#tuple(at + ConnectionRecord.Reply),
      service: this.#tables.backend(view.getUint32(at + ConnectionRecord.Backend, true))?.service ??
        null,
      assured,
      expiresInMs: view.getUint32(at + ConnectionRecord.ExpiresIn, true),
      ageSeconds: view.getUint32(at + ConnectionRecord.Age, true),
    };
  }

  #tuple(at: number): ConntrackEntry["original"] {
    const { view } = this.#scratch;
    return {
      source: this.#scratch.readAddress(at + TupleRecord.Source),
      sourcePort: view.getUint16(at + TupleRecord.SourcePort, true),
      dest: this.#scratch.readAddress(at + TupleRecord.Dest),
      port: view.getUint16(at + TupleRecord.DestPort, true),
    };
  }
}

function stateName(protocol: ConntrackEntry["protocol"], state: number, assured: boolean): string {
  if (protocol === "TCP") return TCP_STATES[state];
  if (protocol === "SCTP") return SCTP_STATES[state];
  return assured ? "STREAM" : "UNASSURED";
}

interface Details {
  readonly state: number;
  readonly pool: PoolKind;
  readonly scheduler: Scheduler;
  readonly affinitySeconds: number;
  readonly cursor: number;
  readonly count: number;
}

/** One line about how the engine came to its answer. */
function explain(
  reason: LookupReason,
  query: PacketQuery,
  service: string | null,
  details: Details,
): string {
  const policy = details.pool === PoolKind.Local ? "Local" : "Cluster";
  switch (reason) {
    case LookupReason.NoFrontend:
      return `no Service has a frontend at ${
        formatSocketAddress(query.dest, query.port)
      }/${query.protocol}`;
    case LookupReason.Tracked:
      return query.protocol === "TCP"
        ? `the connection is tracked, state ${TCP_STATES[details.state]}`
        : "the connection is tracked";
    case LookupReason.SourceRange:
      return `${query.source} is in none of the source ranges of ${service}`;
    case LookupReason.NoEndpoints:
      return `${service} has no endpoints`;
    case LookupReason.NoLocalEndpoint:
      return `${service} has no endpoints on this node`;
    case LookupReason.NoUsableBackend:
      return `${service}: policy ${policy}, none of ${details.count} backends has a weight above 0`;
    case LookupReason.Affinity:
      return `session affinity of ${query.source}, for ${details.affinitySeconds} s more`;
    case LookupReason.Scheduled:
      return flat`policy ${policy}, scheduler ${SCHEDULER_NAMES.get(details.scheduler)!} ${
        details.scheduler === Scheduler.Rr ? `at ${details.cursor} of` : "over"
      } ${details.count} backends`;
  }
}
