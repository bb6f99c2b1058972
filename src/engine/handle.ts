/**
 * How the rest of Switchyard talks to a packet engine, wherever that engine runs: in this thread, or
 * in the worker that pumps packets in userspace mode. All values are structured-cloneable.
 *
 * @module
 */

import type { Protocol } from "../cluster/objects.ts";
import type { Backend, FrontendKind, PlanChange, SourceClass } from "../plan/plan.ts";

/** A packet in a query. */
export interface PacketQuery {
  readonly source: string;
  /** Absent: any port. */
  readonly sourcePort?: number;
  readonly dest: string;
  readonly port: number;
  readonly protocol: Protocol;
}

/** FORWARD to a backend, REJECT (answered), DROP (silent), or PASS: no Service rule applies. */
export type Verdict = "FORWARD" | "REJECT" | "DROP" | "PASS";

/** Where a packet would go now, and why. Asking changes nothing in the engine. */
export interface LookupResult {
  readonly verdict: Verdict;
  /** kube-proxy's service port name, or null. */
  readonly service: string | null;
  readonly frontend: FrontendKind | null;
  readonly sourceClass: SourceClass;
  /** The backend that this packet would take now. */
  readonly backend: { readonly address: string; readonly port: number } | null;
  /** Everything that a new connection could be given, with probabilities that sum to 1. */
  readonly backends: readonly {
    readonly address: string;
    readonly port: number;
    readonly probability: number;
  }[];
  readonly masquerade: boolean;
  /** One line: conntrack hit, affinity, scheduler and its inputs, or why it is refused. */
  readonly reason: string;
}

/**
 * What an answer rests on, to be given back to the engine: while it is the same, so is the answer
 * about a packet, and about one of another source but for that source's name.
 */
export type Basis = Uint32Array;

/** An answer, and what it rests on. */
export interface BasedResult {
  readonly basis: Basis;
  readonly result: LookupResult;
}

/** Answers in records of fixed size: see records.ts. */
export interface RecordAnswers {
  readonly records: Uint8Array<ArrayBuffer>;
  /** Names of service ports, which the records name by index. */
  readonly services: readonly string[];
}

/** Live counters of one backend of one service port. */
export interface BackendCounters {
  readonly service: string;
  readonly protocol: Protocol;
  readonly backend: Pick<Backend, "address" | "port">;
  /** Connections given to it since it was added. */
  readonly connections: number;
  /** Connections that conntrack holds now. */
  readonly active: number;
  readonly packets: number;
  readonly bytes: number;
}

/** Totals of the engine since it started; every drop is counted under its reason. */
export interface EngineCounters {
  readonly packets: number;
  readonly bytes: number;
  readonly forwarded: number;
  readonly rejected: number;
  readonly passed: number;
  readonly dropped: Readonly<Record<string, number>>;
  readonly connections: { readonly now: number; readonly created: number; readonly limit: number };
  /** Connections moved to another backend because the first refused or stayed silent. */
  readonly retried: number;
  readonly backends: readonly BackendCounters[];
}

/** One connection that the engine tracks. */
export interface ConntrackEntry {
  readonly protocol: Protocol;
  readonly state: string;
  readonly original: { source: string; sourcePort: number; dest: string; port: number };
  readonly reply: { source: string; sourcePort: number; dest: string; port: number };
  readonly service: string | null;
  readonly assured: boolean;
  readonly expiresInMs: number;
  /** Since it began, give or take one second; after 198 days it counts anew. */
  readonly ageSeconds: number;
}

/** A packet engine. */
export interface EngineHandle {
  /** Takes over what changed in the plan; connections to surviving backends go on. */
  apply(change: PlanChange): Promise<void>;
  /** Answers in the order asked. */
  lookup(queries: readonly PacketQuery[]): Promise<LookupResult[]>;
  /**
   * The answer to one question, or null when it rests on what an earlier answer did, to a question
   * that differed in nothing but its source; at once where the engine is in this thread.
   */
  lookupIfChanged(
    query: PacketQuery,
    known: Basis | null,
  ): BasedResult | null | Promise<BasedResult | null>;
  /** The same as lookup in records of fixed size, which the caller has checked: see records.ts. */
  lookupRecords(questions: Uint8Array): Promise<RecordAnswers>;
  counters(): Promise<EngineCounters>;
  /** A page of entries: at most `limit`, starting after `cursor` (0 first); `next` is null at the end. */
  conntrack(
    cursor: number,
    limit: number,
  ): Promise<{ entries: ConntrackEntry[]; next: number | null }>;
}
