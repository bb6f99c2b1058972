/**
 * Gives memory back to the node when there is nothing else to do.
 *
 * V8 collects when a program allocates, so that one which has come to rest keeps what its last work
 * has left: after a first sync of 100,000 endpoints as much again as it needs.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { trimHeap } from "../linux/libc.ts";
import type { AgentObserver } from "./agent.ts";
import { type Clock, systemClock } from "./clock.ts";

const logger = getLogger(["switchyard", "agent"]);

/** Nothing else is to be expected when so long no change has come and no sync ended; milliseconds. */
const QUIET_MS = 5000;
/** Of less growth V8 takes care itself: as much as the heap may grow until it collects. */
const GROWTH = 1.25;
/** Of all time, collecting takes at most the part of one in so many. */
const SPARINGLY = 20;

/** The memory of a process. */
export interface ProcessMemory {
  /** Bytes that are resident. */
  resident(): number;
  /** Lets go of what is not needed; everything else waits meanwhile. */
  collect(): void;
}

/** What V8 has as a global function when it is started with `--expose-gc`. */
type Collect = (options: {
  readonly type: "major";
  readonly execution: "sync";
  /** Also compacts, and gives empty pages back to the system. */
  readonly flavor: "last-resort";
}) => void;

/** This process's memory; null when it was started without `--expose-gc` or `--allow-ffi`. */
export function processMemory(): ProcessMemory | null {
  const { gc } = globalThis as { gc?: Collect };
  if (gc === undefined) return null;
  if (Deno.permissions.querySync({ name: "ffi" }).state !== "granted") return null;
  return {
    resident: () => Deno.memoryUsage().rss,
    collect() {
      gc({ type: "major", execution: "sync", flavor: "last-resort" });
      // What the runtime itself used to speak TLS and to read from programs.
      trimHeap();
    },
  };
}

/** Collects in the quiet behind syncs when memory has grown. */
export class Housekeeping implements AgentObserver {
  readonly #memory: ProcessMemory;
  readonly #clock: Clock;
  #busyAt = 0;
  #notBefore = 0;
  /** What was resident after the last time. */
  #least = 0;
  #cancel: (() => void) | null = null;
  #stopped = false;

  constructor(memory: ProcessMemory, clock: Clock = systemClock) {
    this.#memory = memory;
    this.#clock = clock;
  }

  queued(): void {
    this.#busyAt = this.#clock.now();
  }

  synced(): void {
    this.#busyAt = this.#clock.now();
    if (this.#cancel === null && !this.#stopped) this.#wait();
  }

  stop(): void {
    this.#stopped = true;
    this.#cancel?.();
    this.#cancel = null;
  }

  #wait(): void {
    const due = Math.max(this.#busyAt + QUIET_MS, this.#notBefore);
    const ms = due - this.#clock.now();
    if (ms > 0) {
      this.#cancel = this.#clock.after(ms, () => this.#wait());
      return;
    }
    this.#cancel = null;
    if (this.#memory.resident() > GROWTH * this.#least) this.#collect();
  }

  #collect(): void {
    const before = this.#memory.resident();
    const began = this.#clock.now();
    this.#memory.collect();
    const ended = this.#clock.now();
    this.#least = this.#memory.resident();
    this.#notBefore = ended + SPARINGLY * (ended - began);
    logger.debug("{freed} MiB given back in {ms} ms", {
      freed: Math.round((before - this.#least) / 2 ** 20),
      ms: ended - began,
    });
  }
}
