/**
 * The engine that answers for a node where another data plane carries the packets, made at the first
 * question and let go of when nobody has asked for some minutes.
 *
 * The engine of 100,000 endpoints takes some 55 MiB and tenths of a second to be filled, which a node
 * that nobody asks about need not have. It is filled from the plan as it is, not change by change:
 * that is the same for schedulers that don't look at the order in which backends came, as that of
 * iptables mode, which chooses at random.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import { type NodeInfo, type PlanChange, serviceKey, type ServicePlan } from "../plan/plan.ts";
import { DROP_REASONS, DropReason } from "./abi.ts";
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
import { IdleWatch } from "../idle.ts";
import { LocalEngine, WITNESS } from "./local.ts";

/** Without a question for so long, the engine is let go of. */
const IDLE_MS = 300_000;
/** Services that are filled in before other work has its turn: some milliseconds. */
const PART = 64;

/** An {@link EngineHandle} over an engine that is there only while it is asked. */
export class WitnessEngine implements EngineHandle {
  readonly #make: () => LocalEngine;
  readonly #idle: IdleWatch;
  #node: NodeInfo | null = null;
  /** By "namespace/name". */
  readonly #services = new Map<string, ServicePlan>();
  /** A promise while it is being filled. */
  #engine: LocalEngine | Promise<LocalEngine> | null = null;

  constructor(
    { make = () => LocalEngine.create(), idleMs = IDLE_MS }: {
      readonly make?: () => LocalEngine;
      /** Milliseconds. */
      readonly idleMs?: number;
    } = {},
  ) {
    this.#make = make;
    this.#idle = new IdleWatch(idleMs, () => this.#engine = null);
  }

  /** Rejects when the plan is malformed and there is an engine that has to take it. */
  async apply(change: PlanChange): Promise<void> {
    const { node, updated, removed } = change;
    this.#node = node ?? this.#node;
    for (const key of removed) this.#services.delete(key);
    for (const plan of updated) this.#services.set(serviceKey(plan), plan);
    // One that is being filled has the plan of before; who asks later gets the answer of after.
    const engine = this.#engine;
    await (engine instanceof Promise
      ? engine.then((engine) => engine.apply(change))
      : engine?.apply(change));
  }

  /** Throws or rejects with a TypeError when an address is none. */
  lookup(queries: readonly PacketQuery[]): Promise<LookupResult[]> {
    return this.#ask((engine) => engine.lookup(queries));
  }

  /** Throws or rejects with a TypeError when an address is none. */
  lookupIfChanged(
    query: PacketQuery,
    known: Basis | null,
  ): BasedResult | null | Promise<BasedResult | null> {
    return this.#ask((engine) => engine.lookupIfChanged(query, known));
  }

  lookupRecords(questions: Uint8Array): Promise<RecordAnswers> {
    return this.#ask((engine) => engine.lookupRecords(questions));
  }

  /** Nothing: no packet comes here. */
  counters(): Promise<EngineCounters> {
    return Promise.resolve(NOTHING_COUNTED);
  }

  /** No connection: no packet comes here. */
  conntrack(): Promise<{ entries: ConntrackEntry[]; next: number | null }> {
    return Promise.resolve({ entries: [], next: null });
  }

  /** Asks at once, or as soon as there is an engine. */
  #ask<Answer>(question: (engine: LocalEngine) => Answer): Answer | Promise<Awaited<Answer>> {
    const engine = this.#filled();
    return engine instanceof Promise
      ? engine.then(question) as Promise<Awaited<Answer>>
      : question(engine);
  }

  /** The engine with the plan of this moment and all changes up to the use of the answer. */
  #filled(): LocalEngine | Promise<LocalEngine> {
    if (this.#engine !== null) {
      this.#idle.use();
      return this.#engine;
    }
    const filling = this.#fill();
    this.#engine = filling;
    filling.then((engine) => {
      this.#engine = engine;
      this.#idle.use();
    }, () => {
      this.#engine = null;
    });
    return filling;
  }

  async #fill(): Promise<LocalEngine> {
    const services = [...this.#services.values()];
    const filled = this.#make();
    await filled.apply({ node: this.#node, updated: [], removed: [] });
    for (let at = 0; at < services.length; at += PART) {
      await filled.apply({ node: null, updated: services.slice(at, at + PART), removed: [] });
      await new Promise((resolve) => setImmediate(resolve));
    }
    return filled;
  }
}

const NOTHING_COUNTED: EngineCounters = {
  packets: 0,
  bytes: 0,
  forwarded: 0,
  rejected: 0,
  passed: 0,
  dropped: Object.fromEntries(
    DROP_REASONS.flatMap((name, reason) => reason === DropReason.None ? [] : [[name, 0]]),
  ),
  connections: { now: 0, created: 0, limit: WITNESS.connections },
  retried: 0,
  backends: [],
};
