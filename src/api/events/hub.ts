/**
 * What happens in the proxy, for everyone who wants to hear of it.
 *
 * @module
 */

import type { Difference } from "../../dataplane/dataplane.ts";

/** Something that happened. Lists are cut to {@link MOST_LISTED}; the totals are not. */
export type Happening =
  /** A sync ended. */
  | {
    readonly type: "sync";
    readonly ok: boolean;
    readonly durationMs: number;
    readonly error: string | null;
  }
  /** The node has another plan now. Services as "namespace/name". */
  | {
    readonly type: "change";
    /** Whether what is known of the node itself changed. */
    readonly node: boolean;
    readonly updated: readonly string[];
    readonly updatedTotal: number;
    readonly removed: readonly string[];
    readonly removedTotal: number;
  }
  /** The input has other problems than before: these, one line each. */
  | { readonly type: "problems"; readonly problems: readonly string[]; readonly total: number }
  /** The node is otherwise than it should be; none: it is as it should be again. */
  | { readonly type: "drift"; readonly differences: readonly Difference[]; readonly total: number };

/** Items of a list in one event. */
export const MOST_LISTED = 100;

/** An event in the order of all. */
export interface Event {
  readonly number: number;
  readonly type: Happening["type"];
  /** As it is sent: a frame of text/event-stream (HTML Standard, 9.2). */
  readonly frame: Uint8Array<ArrayBuffer>;
}

/** Past events that are kept for those who come again. */
const KEPT = 256;

/** Takes events and hands them to all who listen, in order. */
export class EventHub {
  /** Tells events of this run from those of another. */
  readonly run: string;
  readonly #now: () => number;
  readonly #listeners = new Set<(event: Event) => void>();
  readonly #kept: Event[] = [];
  #number = 0;

  /** @param now milliseconds since the epoch. */
  constructor(now: () => number = Date.now) {
    this.#now = now;
    this.run = now().toString(36);
  }

  /** The last event's number; 0 before the first. */
  get last(): number {
    return this.#number;
  }

  publish(happening: Happening): void {
    const number = ++this.#number;
    const { type, ...rest } = happening;
    const data = { time: new Date(this.#now()).toISOString(), ...rest };
    const frame = formatFrame(type, data, this.idOf(number));
    const event: Event = { number, type, frame };
    this.#kept.push(event);
    if (this.#kept.length > KEPT) this.#kept.shift();
    for (const listener of [...this.#listeners]) listener(event);
  }

  /** Hears every event from now on; returns what ends that. */
  listen(listener: (event: Event) => void): () => void {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  }

  /** What a client is to remember of an event. */
  idOf(number: number): string {
    return `${this.run}-${number}`;
  }

  /** The events behind an id; null when some of them are not kept any more, or never were here. */
  since(id: string): readonly Event[] | null {
    const parts = /^([0-9a-z]{1,16})-(\d{1,15})$/.exec(id);
    if (parts === null || parts[1] !== this.run) return null;
    const after = Number(parts[2]);
    const first = this.#kept.at(0)?.number ?? 1;
    if (after > this.#number || after + 1 < first) return null;
    return this.#kept.filter(({ number }) => number > after);
  }
}

const encoder = new TextEncoder();

/** One event of text/event-stream. JSON has no line ends of its own. */
export function formatFrame(
  type: string,
  data: unknown,
  id: string | null = null,
): Uint8Array<ArrayBuffer> {
  const idLine = id === null ? "" : `id: ${id}\n`;
  return encoder.encode(`${idLine}event: ${type}\ndata: ${JSON.stringify(data)}\n\n`);
}
