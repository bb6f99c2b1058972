/**
 * The clients of the event stream: each has a bounded queue, and one that does not read is let go.
 *
 * @module
 */

import { type EventHub, formatFrame } from "./hub.ts";

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

type Send = (frame: Uint8Array<ArrayBuffer>) => void;

/** All clients of one hub. Without clients it costs nothing: no timer runs. */
export class EventStreams {
  readonly #clients = new Set<Send>();
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

  #begin(lastId: string | null): Uint8Array<ArrayBuffer>[] {
    const { hub } = this;
    const missed = lastId === null ? [] : hub.since(lastId);
    const hello = formatFrame("hello", { run: hub.run }, hub.idOf(hub.last));
    return missed === null
      ? [formatFrame("missed", {}), hello]
      : [...missed.map(({ frame }) => frame), hello];
  }

  #add(send: Send): void {
    this.#clients.add(send);
    if (this.#clients.size > 1) return;
    this.#unlisten = this.hub.listen(({ frame }) => this.#sendAll(frame));
    this.#heartbeat = setInterval(() => this.#sendAll(HEARTBEAT), this.limits.heartbeatMs);
    this.inUse(true);
  }

  #remove(send: Send): void {
    if (!this.#clients.delete(send) || this.#clients.size > 0) return;
    clearInterval(this.#heartbeat);
    this.#unlisten?.();
    this.inUse(false);
  }

  #sendAll(frame: Uint8Array<ArrayBuffer>): void {
    for (const send of [...this.#clients]) send(frame);
  }
}
