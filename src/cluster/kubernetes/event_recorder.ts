/**
 * Events of the cluster (events.k8s.io/v1): what people see with `kubectl describe`.
 *
 * Repetitions of an event become a series in one object, few objects are made, and what cannot be
 * sent is dropped after some tries: an Event is never worth a busy API server.
 *
 * Source: KEP-383 and client-go's tools/events and tools/record, whose times and limits these are.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import type { ApiWriter } from "./api_client.ts";
import { ApiFailure } from "./failure.ts";
import { sleep, systemTiming, type Timing } from "./timing.ts";

const logger = getLogger(["switchyard", "kubernetes"]);

/** Something to tell of an object. */
export interface ClusterEvent {
  readonly regarding: {
    readonly apiVersion?: string;
    readonly kind: string;
    /** Absent for objects that have none. */
    readonly namespace?: string;
    readonly name: string;
    readonly uid?: string;
  };
  readonly type: "Normal" | "Warning";
  /** One word: "Starting". */
  readonly reason: string;
  /** What was done or tried, one word: "Listen". */
  readonly action: string;
  /** For people, at most 1024 bytes are kept. */
  readonly note: string;
}

/** Takes events; never fails. */
export interface EventSink {
  record(event: ClusterEvent): void;
}

/** How a recorder works. */
export interface RecorderOptions {
  readonly writer: ApiWriter;
  /** Who tells: at most 128 bytes each. */
  readonly controller: string;
  readonly instance: string;
  readonly timing?: Timing;
  /** Milliseconds since the epoch. */
  readonly now?: () => number;
}

/** Events that wait to be sent; more are dropped. */
const MAX_QUEUE = 100;
/** Events about one object in a row, and how long one more takes. */
const BURST = 25;
const REFILL_MS = 300_000;
/** An event that is repeated within this time belongs to the series of the one before. */
const SERIES_MS = 360_000;
/** A series is told of this often. */
const SERIES_REFRESH_MS = 300_000;
const MAX_NOTE = 1024;
const MAX_TRIES = 4;
const RETRY_MS = 10_000;
const ANSWER_MS = 10_000;
/** Kept series, of which the oldest are forgotten. */
const MAX_SERIES = 1000;

interface Series {
  readonly path: string;
  readonly name: string;
  count: number;
  lastSeen: number;
  lastTold: number;
}

interface Budget {
  tokens: number;
  at: number;
}

type Write = Parameters<ApiWriter["send"]>[0];
type Outgoing = Pick<Write, "method" | "path" | "body">;

/** Records events at an API server. {@link EventRecorder.stop} ends it. */
export class EventRecorder implements EventSink {
  readonly #options: RecorderOptions;
  readonly #timing: Timing;
  readonly #now: () => number;
  readonly #abort = new AbortController();
  readonly #series = new Map<string, Series>();
  readonly #budgets = new Map<string, Budget>();
  readonly #queue: Outgoing[] = [];
  #sending: Promise<void> | null = null;
  #told = false;

  constructor(options: RecorderOptions) {
    this.#options = options;
    this.#timing = options.timing ?? systemTiming;
    this.#now = options.now ?? Date.now;
  }

  record(event: ClusterEvent): void {
    if (this.#abort.signal.aborted) return;
    const { regarding, reason, action, type } = event;
    const key = JSON.stringify([regarding, reason, action, type, event.note]);
    const known = this.#series.get(key);
    if (known !== undefined && this.#now() - known.lastSeen < SERIES_MS) this.#repeat(known);
    else this.#begin(key, event);
  }

  /** Sends what waits, for at most a time; then nothing is sent any more. */
  async stop(graceMs: number): Promise<void> {
    const cancel = this.#timing.after(graceMs, () => this.#abort.abort());
    await this.#sending;
    cancel();
    this.#abort.abort();
  }

  #begin(key: string, event: ClusterEvent): void {
    const { regarding } = event;
    if (!this.#allows(`${regarding.kind} ${regarding.namespace ?? ""}/${regarding.name}`)) return;
    const namespace = regarding.namespace ?? "default";
    const now = this.#now();
    const name = `${regarding.name}.${uniqueSuffix(now)}`;
    const path = `/apis/events.k8s.io/v1/namespaces/${namespace}/events`;
    this.#series.delete(key);
    this.#series.set(key, { path, name, count: 1, lastSeen: now, lastTold: now });
    if (this.#series.size > MAX_SERIES) this.#series.delete(this.#series.keys().next().value!);
    this.#enqueue({
      method: "POST",
      path,
      body: {
        apiVersion: "events.k8s.io/v1",
        kind: "Event",
        metadata: { name, namespace },
        eventTime: microTime(now),
        reportingController: this.#options.controller,
        reportingInstance: this.#options.instance,
        regarding,
        reason: event.reason,
        action: event.action,
        type: event.type,
        note: event.note.slice(0, MAX_NOTE),
      },
    });
  }

  #repeat(series: Series): void {
    const now = this.#now();
    series.count++;
    series.lastSeen = now;
    if (series.count > 2 && now - series.lastTold < SERIES_REFRESH_MS) return;
    series.lastTold = now;
    this.#enqueue({
      method: "PATCH",
      path: `${series.path}/${series.name}`,
      body: { series: { count: series.count, lastObservedTime: microTime(now) } },
    });
  }

  /** Whether one more event about an object is allowed now. */
  #allows(object: string): boolean {
    const now = this.#now();
    const { tokens, at } = this.#budgets.get(object) ?? { tokens: BURST, at: now };
    const filled = Math.min(BURST, tokens + (now - at) / REFILL_MS);
    const allowed = filled >= 1;
    this.#budgets.delete(object);
    this.#budgets.set(object, { tokens: allowed ? filled - 1 : filled, at: now });
    if (this.#budgets.size > MAX_SERIES) this.#budgets.delete(this.#budgets.keys().next().value!);
    return allowed;
  }

  #enqueue(outgoing: Outgoing): void {
    if (this.#queue.length >= MAX_QUEUE) return;
    this.#queue.push(outgoing);
    this.#sending ??= this.#send().finally(() => this.#sending = null);
  }

  async #send(): Promise<void> {
    for (let next; (next = this.#queue[0]) !== undefined; this.#queue.shift()) {
      for (let tries = 1; !await this.#try(next) && tries < MAX_TRIES; tries++) {
        const wait = RETRY_MS * (0.5 + this.#timing.random());
        await sleep(this.#timing, wait, this.#abort.signal);
      }
      if (this.#abort.signal.aborted) return;
    }
  }

  /** Whether there is nothing more to do about it. */
  async #try(outgoing: Outgoing): Promise<boolean> {
    const { signal } = this.#abort;
    if (signal.aborted) return true;
    try {
      await this.#options.writer.send({ ...outgoing, answerMs: ANSWER_MS, signal });
      return true;
    } catch (error) {
      if (!(error instanceof ApiFailure)) throw error;
      const { status } = error.details;
      const final = status !== undefined && status >= 400 && status < 500 && status !== 429;
      if (final && !this.#told) {
        this.#told = true;
        logger.warn("Events are not recorded: {error}", { error: error.message });
      }
      return final;
    }
  }
}

/** metav1.MicroTime. */
function microTime(ms: number): string {
  return new Date(ms).toISOString().replace("Z", "000Z");
}

/** Makes names that no other event has: client-go takes nanoseconds since the epoch. */
function uniqueSuffix(now: number): string {
  const chance = crypto.getRandomValues(new Uint32Array(1))[0];
  return (BigInt(Math.floor(now)) * 1_000_000n + BigInt(chance % 1_000_000)).toString(16);
}
