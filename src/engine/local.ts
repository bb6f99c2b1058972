/**
 * An engine in this thread behind the interface that everyone uses, with its own clock: the witness
 * that answers queries where another data plane carries the packets.
 *
 * @module
 */

import type { PlanChange } from "../plan/plan.ts";
import { Engine, type EngineOptions } from "./engine.ts";
import type {
  BasedResult,
  Basis,
  ConntrackEntry,
  EngineCounters,
  EngineHandle,
  LookupResult,
  PacketQuery,
  RecordAnswers,
} from "./handle.ts";

/** Slots that an engine without packets needs. */
export const WITNESS = { slots: 1, slotSize: 2048, connections: 1024, keptSyns: 1 } as const;

/** An {@link EngineHandle} over an engine in this thread. */
export class LocalEngine implements EngineHandle {
  /** The engine itself. */
  readonly engine: Engine;
  readonly #now: () => number;

  /** @param now the clock, ms; it must not go back. */
  constructor(engine: Engine, now: () => number = () => performance.now()) {
    this.engine = engine;
    this.#now = now;
  }

  /** An engine that only answers queries, with little memory. The seed is random unless given. */
  static create(options: Partial<EngineOptions> = {}): LocalEngine {
    const seed = options.seed ?? crypto.getRandomValues(new BigUint64Array(1))[0];
    return new LocalEngine(Engine.create({ ...WITNESS, ...options, seed }));
  }

  /** Rejects when the plan is malformed. */
  // deno-lint-ignore require-await
  async apply(change: PlanChange): Promise<void> {
    this.engine.apply(change);
  }

  /** Rejects with a TypeError when an address is none. */
  // deno-lint-ignore require-await
  async lookup(queries: readonly PacketQuery[]): Promise<LookupResult[]> {
    return this.engine.lookup(queries, this.#now());
  }

  /** Throws a TypeError when an address is none. */
  lookupIfChanged(query: PacketQuery, known: Basis | null): BasedResult | null {
    return this.engine.lookupIfChanged(query, known, this.#now());
  }

  lookupRecords(questions: Uint8Array): Promise<RecordAnswers> {
    return Promise.resolve(this.engine.lookupRecords(questions, this.#now()));
  }

  counters(): Promise<EngineCounters> {
    return Promise.resolve(this.engine.counters());
  }

  conntrack(
    cursor: number,
    limit: number,
  ): Promise<{ entries: ConntrackEntry[]; next: number | null }> {
    return Promise.resolve(this.engine.conntrack(cursor, limit, this.#now()));
  }
}
