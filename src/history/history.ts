/**
 * The plans of the past and what led from each to the next. Plans of Services are immutable and
 * shared: an entry holds only those that it replaced, and going back means putting them back.
 *
 * @module
 */

import { objectKey } from "../cluster/objects.ts";
import type { ClusterChange } from "../cluster/source.ts";
import { diffService, samePlan, type ServiceDifference } from "../plan/difference.ts";
import {
  type NodeInfo,
  type Plan,
  type PlanChange,
  serviceKey,
  type ServicePlan,
} from "../plan/plan.ts";
import {
  type Cause,
  type HistoryEntry,
  MOST_CAUSES,
  type Outcome,
  type SentRules,
} from "./entry.ts";
import { entryBytes, planBytes } from "./size.ts";

/** How much is kept. */
export interface HistoryLimits {
  readonly entries: number;
  /** Of memory, roughly. */
  readonly bytes: number;
}

export const HISTORY_LIMITS: HistoryLimits = { entries: 1000, bytes: 32 << 20 };

/** A sync that ended. */
export interface RecordedSync {
  readonly timeMs: number;
  readonly durationMs: number;
  readonly ok: boolean;
  readonly error: string | null;
  /** What came from the cluster for it. */
  readonly changes: readonly ClusterChange[];
  readonly change: PlanChange;
  readonly sent: readonly SentRules[];
}

/** An entry with what it replaced. */
export interface KeptEntry {
  entry: HistoryEntry;
  /** By "namespace/name"; null: there was none. */
  readonly before: ReadonlyMap<string, ServicePlan | null>;
  /** Null: it did not change, or there was none. */
  readonly nodeBefore: NodeInfo | null;
  /** Of memory, as long as nothing but the history holds it. */
  bytes: number;
}

/** Where the history begins when it is taken up again. */
export interface PastState {
  readonly entries: readonly KeptEntry[];
  readonly node: NodeInfo | null;
  readonly services: ReadonlyMap<string, ServicePlan>;
  readonly nextId: number;
}

const NO_PAST: PastState = { entries: [], node: null, services: new Map(), nextId: 1 };

/** Is told of everything that is kept, in order. */
export interface HistoryListener {
  added(kept: KeptEntry): void;
  /** A later attempt of the last entry ended. */
  tried(outcome: Outcome): void;
}

/** The history of one proxy, the newest entry last. */
export class History {
  readonly #limits: HistoryLimits;
  readonly #entries: KeptEntry[];
  /** The plan behind the last entry. */
  readonly #services: Map<string, ServicePlan>;
  #node: NodeInfo | null;
  #nextId: number;
  #bytes: number;
  /** Whether this run has an entry yet. */
  #begun = false;
  #listener: HistoryListener | null = null;

  constructor(limits: HistoryLimits = HISTORY_LIMITS, past: PastState = NO_PAST) {
    this.#limits = limits;
    this.#entries = [...past.entries];
    this.#services = new Map(past.services);
    this.#node = past.node;
    this.#nextId = past.nextId;
    this.#bytes = this.#entries.reduce((sum, { bytes }) => sum + bytes, 0);
    this.#trim();
  }

  /** Has one listener told of what comes. */
  listen(listener: HistoryListener): void {
    this.#listener = listener;
  }

  /** The newest first. */
  entries(): HistoryEntry[] {
    return this.#entries.map(({ entry }) => entry).reverse();
  }

  /** What is kept, the oldest first. */
  get kept(): readonly KeptEntry[] {
    return this.#entries;
  }

  /** The plan behind the last entry; null before the first. */
  get plan(): Plan | null {
    return this.#node === null ? null : { node: this.#node, services: this.#services };
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** An entry by its id; null: it is not kept, or not there yet. */
  entry(id: number): HistoryEntry | null {
    return this.#find(id)?.entry ?? null;
  }

  /** "namespace/name" of the Services that an entry changed. */
  changedServices(id: number): readonly string[] {
    return [...this.#find(id)?.before.keys() ?? []].sort();
  }

  /** Whether an entry changed a Service, by "namespace/name". */
  changes(id: number, service: string): boolean {
    return this.#find(id)?.before.has(service) ?? false;
  }

  /** The plan as it was behind an entry; null: it is not kept. It is the caller's. */
  planAt(id: number): Plan | null {
    const kept = this.#find(id);
    if (kept === undefined || this.#node === null) return null;
    const index = this.#entries.indexOf(kept);
    const services = new Map(this.#services);
    let node = this.#node;
    for (let i = this.#entries.length - 1; i > index; i--) {
      const { before, nodeBefore } = this.#entries[i];
      for (const [key, plan] of before) {
        if (plan === null) services.delete(key);
        else services.set(key, plan);
      }
      node = nodeBefore ?? node;
    }
    return { node, services };
  }

  /** What an entry changed of the Services, the first `limit` by name. */
  differences(id: number, limit: number): ServiceDifference[] {
    const kept = this.#find(id);
    const after = this.planAt(id);
    if (kept === undefined || after === null) return [];
    return this.changedServices(id).slice(0, limit).map((key) =>
      diffService(kept.before.get(key) ?? null, after.services.get(key) ?? null)
    );
  }

  /** Takes a sync; those that changed nothing and sent nothing leave no trace. */
  record(sync: RecordedSync): void {
    const before = this.#replace(sync.change);
    const { node } = sync.change;
    const nodeBefore = this.#node;
    const nodeChanged = node !== null && JSON.stringify(node) !== JSON.stringify(nodeBefore);
    if (nodeChanged) this.#node = node;
    const trigger = this.#begun ? sync.changes.length > 0 ? "change" : "resync" : "start";
    const quiet = before.size === 0 && !nodeChanged;
    const last = this.#entries.at(-1);
    if (quiet && this.#begun) {
      if (last !== undefined && !last.entry.ok && trigger === "resync") return this.#tried(sync);
      if (sync.ok && sync.sent.every(({ lines }) => lines === 0)) return;
    }
    this.#begun = true;
    const { ok, error, durationMs, timeMs: time, changes, sent } = sync;
    this.#add({
      entry: {
        id: this.#nextId++,
        ok,
        error,
        attempts: 1,
        durationMs,
        sent,
        time,
        trigger,
        causes: changes.slice(0, MOST_CAUSES).map(causeOf),
        causesTotal: changes.length,
        node: nodeChanged,
      },
      before,
      nodeBefore: nodeChanged ? nodeBefore : null,
      bytes: 0,
    });
  }

  /** Takes over the plan's change; what was there before of what is different now. */
  #replace({ updated, removed }: PlanChange): Map<string, ServicePlan | null> {
    const before = new Map<string, ServicePlan | null>();
    const gone = new Set(removed);
    if (!this.#begun) {
      // What was deleted while nothing ran is in no change.
      const there = new Set(updated.map(serviceKey));
      for (const key of this.#services.keys()) if (!there.has(key)) gone.add(key);
    }
    for (const key of gone) {
      const former = this.#services.get(key);
      if (former === undefined) continue;
      before.set(key, former);
      this.#services.delete(key);
    }
    for (const plan of updated) {
      const key = serviceKey(plan);
      const former = this.#services.get(key) ?? null;
      // A sync that is tried again, and a start, bring what is known already.
      if (!samePlan(former, plan)) before.set(key, before.get(key) ?? former);
      this.#services.set(key, plan);
    }
    return before;
  }

  #tried({ ok, error, durationMs, sent }: RecordedSync): void {
    const last = this.#entries.at(-1)!;
    const { id, attempts } = last.entry;
    const outcome: Outcome = { id, ok, error, attempts: attempts + 1, durationMs, sent };
    last.entry = { ...last.entry, ...outcome };
    this.#measure(last);
    this.#listener?.tried(outcome);
  }

  #add(kept: KeptEntry): void {
    this.#entries.push(kept);
    this.#measure(kept);
    this.#listener?.added(kept);
  }

  #measure(kept: KeptEntry): void {
    this.#bytes -= kept.bytes;
    kept.bytes = keptBytes(kept);
    this.#bytes += kept.bytes;
    this.#trim();
  }

  #trim(): void {
    // The last one stays, however large.
    while (
      this.#entries.length > 1 &&
      (this.#entries.length > this.#limits.entries || this.#bytes > this.#limits.bytes)
    ) {
      this.#bytes -= this.#entries.shift()!.bytes;
    }
  }

  /** Ids have no gaps. */
  #find(id: number): KeptEntry | undefined {
    return this.#entries[id - (this.#entries.at(0)?.entry.id ?? 0)];
  }
}

/** Of a map, for each of its entries. */
const REPLACED = 48;

/** Bytes of an entry with what only it holds. */
export function keptBytes({ entry, before }: Pick<KeptEntry, "entry" | "before">): number {
  let bytes = entryBytes(entry);
  for (const [key, plan] of before) {
    bytes += REPLACED + 2 * key.length + (plan === null ? 0 : planBytes(plan));
  }
  return bytes;
}

function causeOf({ action, object }: ClusterChange): Cause {
  const { kind, metadata } = object;
  const resourceVersion = metadata.resourceVersion ?? null;
  return { action, kind, object: objectKey(object), resourceVersion };
}
