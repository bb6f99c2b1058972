/**
 * The clients of the event stream: each has a bounded queue, and one that does not read is let go.
 *
 * @module
 */

import { setImmediate } from "node:timers";
import { type Event, type EventHub, formatFrame } from "./hub.ts";

/** How many clients there may be, and what each may keep waiting. */
export interface StreamLimits {
  readonly clients: number;
  /** Bytes that wait for one client before it is let go. */
  readonly queueBytes: number;
  /** Between two signs of life, milliseconds. */
  readonly heartbeatMs: number;
}

export const STREAM_LIMITS: StreamLimits = {
  clients: 1024,
  queueBytes: 1 << 18,
  heartbeatMs: 15_000,
};

const HEARTBEAT = new TextEncoder().encode(": alive\n\n");

/** Clients that are sent to in one turn of the event loop: some milliseconds of work. */
const CLIENTS_PER_TURN = 100;
/** Bytes of events that are sent as one. */
const CHUNK_BYTES = 1 << 16;

type Frame = Uint8Array<ArrayBuffer>;
type Send = (frame: Frame) => void;
/** What is to be sent, and to whom: clients that began before this event. */
type Waiting = Pick<Event, "number" | "frame">;

/**
 * All clients of one hub. Without clients it costs nothing: no timer runs. With many, what happens is
 * sent to some of them in each turn of the event loop, so that nothing else waits for all of them.
 */
export class EventStreams {
  /** With the last event that each had when it came. */
  readonly #clients = new Map<Send, number>();
  readonly #waiting: Waiting[] = [];
  #sending = false;
  #heartbeat: ReturnType<typeof setInterval> | undefined;
  #unlisten: (() => void) | null = null;

  constructor(
    private readonly hub: EventHub,
    private readonly limits: StreamLimits,
    /** Told when the first client comes (true) and when the last has gone. */
    private readonly inUse: (used: boolean) => void = () => {},
  ) {}

  get size(): number {
    return this.#clients.size;
  }

  /** Whether no more clients can be taken. */
  get full(): boolean {
    return this.#clients.size >= this.limits.clients;
  }

  /**
   * A stream of frames: what was missed since `lastId` (or an event "missed" when that is not known
   * any more), then everything as it happens.
   */
  open(lastId: string | null): ReadableStream<Uint8Array<ArrayBuffer>> {
    let send: Send | null = null;
    const leave = () => {
      if (send !== null) this.#remove(send);
      send = null;
    };
    return new ReadableStream<Uint8Array<ArrayBuffer>>({
      start: (controller) => {
        send = (frame) => {
          if ((controller.desiredSize ?? 0) < frame.length) {
            leave();
            controller.close();
          } else {
            controller.enqueue(frame);
          }
        };
        for (const frame of this.#begin(lastId)) controller.enqueue(frame);
        this.#add(send);
      },
      cancel: leave,
    }, new ByteLengthQueuingStrategy({ highWaterMark: this.limits.queueBytes }));
  }

  #begin(lastId: string | null): Frame[] {
    const { hub } = this;
    const missed = lastId === null ? [] : hub.since(lastId);
    const hello = formatFrame("hello", { run: hub.run }, hub.idOf(hub.last));
    return missed === null
      ? [formatFrame("missed", {}), hello]
      : [...missed.map(({ frame }) => frame), hello];
  }

  #add(send: Send): void {
    this.#clients.set(send, this.hub.last);
    if (this.#clients.size > 1) return;
    this.#unlisten = this.hub.listen((event) => this.#later(event));
    const alive = { number: Infinity, frame: HEARTBEAT };
    this.#heartbeat = setInterval(() => this.#later(alive), this.limits.heartbeatMs);
    this.inUse(true);
  }

  #remove(send: Send): void {
    if (!this.#clients.delete(send) || this.#clients.size > 0) return;
    clearInterval(this.#heartbeat);
    this.#unlisten?.();
    this.#waiting.length = 0;
    this.inUse(false);
  }

  #later(event: Waiting): void {
    this.#waiting.push(event);
    if (!this.#sending) this.#sendAll();
  }

  /** Each client gets everything in order, as what comes meanwhile waits for the next round. */
  async #sendAll(): Promise<void> {
    this.#sending = true;
    while (this.#waiting.length > 0) {
      // What is published in one go is sent as one.
      await nextTurn();
      const events = this.#waiting.splice(0);
      const chunks = joined(events);
      const first = Math.min(...events.map(({ number }) => number));
      let sent = 0;
      for (const [send, known] of [...this.#clients]) {
        const fresh = known < first
          ? chunks
          : joined(events.filter(({ number }) => number > known));
        for (const chunk of fresh) if (this.#clients.has(send)) send(chunk);
        if (++sent % CLIENTS_PER_TURN === 0) await nextTurn();
      }
    }
    this.#sending = false;
  }
}

function nextTurn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Frames put together, as many as fit into a chunk. */
function joined(events: readonly Waiting[]): Frame[] {
  const chunks: Frame[] = [];
  let parts: Frame[] = [];
  let length = 0;
  const close = () => {
    if (parts.length === 0) return;
    const chunk = new Uint8Array(length);
    let at = 0;
    for (const part of parts) {
      chunk.set(part, at);
      at += part.length;
    }
    chunks.push(chunk);
    parts = [];
    length = 0;
  };
  for (const { frame } of events) {
    if (length + frame.length > CHUNK_BYTES) close();
    parts.push(frame);
    length += frame.length;
  }
  close();
  return chunks;
}
