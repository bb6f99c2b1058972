/**
 * Follows one collection of the API: a list, then a watch from there, and again whenever it must.
 *
 * The rules are those of client-go's Reflector (tools/cache/reflector.go), with its times.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import type { ClusterChange } from "../source.ts";
import type { ApiTransport } from "./api_client.ts";
import { Backoff } from "./backoff.ts";
import { ApiFailure } from "./failure.ts";
import { readList } from "./list_stream.ts";
import type { Resource } from "./resources.ts";
import { ObjectStore, receive, type Received } from "./store.ts";
import { sleep, type Timing } from "./timing.ts";
import { LineSplitter, parseWatchEvent, type WatchEvent } from "./watch_stream.ts";

const logger = getLogger(["switchyard", "kubernetes"]);

/** Times and sizes, milliseconds where not said otherwise. */
export interface ReflectorLimits {
  /** Objects in a page. */
  readonly pageSize: number;
  /** Longest wait for an answer to begin. */
  readonly answerMs: number;
  /** Longest silence in the middle of a list. */
  readonly listIdleMs: number;
  /**
   * Longest silence of a watch. An API server sends a bookmark about every minute; a watch without
   * one is begun again from where it was, which costs little.
   */
  readonly watchIdleMs: number;
  /** A watch ends after this many seconds, up to twice as many: API servers share their load so. */
  readonly watchSeconds: number;
}

export const DEFAULT_LIMITS: ReflectorLimits = {
  pageSize: 500,
  answerMs: 30_000,
  listIdleMs: 30_000,
  watchIdleMs: 90_000,
  watchSeconds: 240,
};

/** Receives what a reflector finds, about {@link Reflector.store}, which is changed already. */
export interface ReflectorListener {
  /** The first call means that the first list is in; it comes even if there are no changes. */
  changed(changes: readonly ClusterChange[]): void;
  /** {@link Reflector.trouble} or the problems of objects may be others than before. */
  problemsChanged(): void;
}

/** A watch that was answered and lived this long, or brought anything, was no failure. */
const PROGRESS_MS = 5_000;
/** How often an optional collection is asked for again that the server refused. */
const REFUSED_MS = 300_000;
/** Spreads the nodes of a cluster when one connection of all breaks at once. */
const RECONNECT_JITTER_MS = 250;
/** A watch that fails less often in a row is nothing that anyone must know. */
const REPORTED_WATCH_FAILURES = 3;
/** A watch that fails this often in a row is not tried again without a list. */
const MAX_WATCH_FAILURES = 5;

/** Follows one collection until told to stop. Failures of the API never end it. */
export class Reflector {
  readonly store = new ObjectStore();
  readonly #resource: Resource;
  readonly #transport: ApiTransport;
  readonly #listener: ReflectorListener;
  readonly #limits: ReflectorLimits;
  readonly #timing: Timing;
  readonly #backoff: Backoff;
  /** The version that was last seen; "0" asks for any, "" for the newest. */
  #version = "0";
  #listed = false;
  #mustList = true;
  /** Pages are not asked for when the server forgets a list faster than it can be read. */
  #paged = true;
  /** Since a watch last made progress. */
  #watchFailures = 0;
  #expirations = 0;
  #trouble: string | null = null;

  constructor(
    resource: Resource,
    transport: ApiTransport,
    listener: ReflectorListener,
    timing: Timing,
    limits: ReflectorLimits = DEFAULT_LIMITS,
  ) {
    this.#resource = resource;
    this.#transport = transport;
    this.#listener = listener;
    this.#timing = timing;
    this.#limits = limits;
    this.#backoff = new Backoff(timing);
  }

  get resource(): Resource {
    return this.#resource;
  }

  /** Whether the first list is in. */
  get listed(): boolean {
    return this.#listed;
  }

  /** Why the API cannot be followed now, in one line; null while it can. */
  get trouble(): string | null {
    return this.#trouble;
  }

  /** Resolves when the signal aborts; rejects only if the listener throws. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      const listing = this.#mustList;
      try {
        if (listing) await this.#list(signal);
        else await this.#watch(signal);
      } catch (error) {
        if (!(error instanceof ApiFailure)) throw error;
        if (signal.aborted) return;
        const wait = listing ? this.#listFailed(error) : this.#watchFailed(error);
        await sleep(this.#timing, wait, signal);
      }
    }
  }

  async #list(signal: AbortSignal): Promise<void> {
    const list = new Map<string, Received>();
    let version = "";
    let token: string | undefined;
    do {
      const body = await this.#get(this.#listQuery(token), this.#limits.listIdleMs, signal);
      const metadata = await readList(body, (item) => {
        const received = receive(item, this.#resource, this.store);
        if (received !== null) list.set(received.key, received);
      });
      version = metadata.resourceVersion;
      token = metadata.continue;
    } while (token !== undefined);
    this.#version = version;
    this.#mustList = false;
    this.#paged = true;
    const first = !this.#listed;
    this.#listed = true;
    // A list solves what a list caused, but not that no watch succeeds.
    if (this.#watchFailures === 0) this.#trouble = null;
    const changes = this.store.replace(list);
    this.#listener.problemsChanged();
    if (first || changes.length > 0) this.#listener.changed(changes);
  }

  /**
   * Any state that is no older than what was seen will do, which the server can answer from memory;
   * the pages after the first one are of the same state.
   */
  #listQuery(token: string | undefined): Record<string, string> {
    const limit: Record<string, string> = this.#paged
      ? { limit: String(this.#limits.pageSize) }
      : {};
    if (token !== undefined) return { ...limit, continue: token };
    if (this.#version === "") return limit;
    if (this.#version === "0") return { ...limit, resourceVersion: "0" };
    return { ...limit, resourceVersion: this.#version, resourceVersionMatch: "NotOlderThan" };
  }

  async #watch(signal: AbortSignal): Promise<void> {
    let answered: number | null = null;
    let events = 0;
    const progress = () =>
      events > 0 || (answered !== null && this.#timing.now() - answered >= PROGRESS_MS);
    try {
      const body = await this.#get(this.#watchQuery(), this.#limits.watchIdleMs, signal);
      answered = this.#timing.now();
      const cancel = this.#timing.after(PROGRESS_MS, () => this.#followed());
      try {
        const lines = new LineSplitter();
        for await (const chunk of body) {
          const taken = this.#take(lines.push(chunk));
          if (taken > 0) this.#followed();
          events += taken;
        }
      } finally {
        cancel();
      }
    } catch (error) {
      const brokeOff = error instanceof ApiFailure && error.details.status === undefined;
      if (!brokeOff || !progress() || signal.aborted) throw error;
      logger.debug("watch of {path} broke off: {error}", {
        path: this.#resource.path,
        error: error.message,
      });
    }
    if (!progress()) throw new ApiFailure("the watch ended as soon as it had begun");
    this.#followed();
    await sleep(this.#timing, RECONNECT_JITTER_MS * this.#timing.random(), signal);
  }

  #watchQuery(): Record<string, string> {
    const seconds = this.#limits.watchSeconds * (1 + this.#timing.random());
    return {
      watch: "true",
      allowWatchBookmarks: "true",
      resourceVersion: this.#version,
      timeoutSeconds: String(Math.floor(seconds)),
    };
  }

  /** Takes in the events of some lines, and tells of them together; their number. */
  #take(lines: Iterable<Uint8Array>): number {
    const changes: ClusterChange[] = [];
    let events = 0;
    let problems = false;
    try {
      for (const line of lines) {
        const event = parseWatchEvent(line);
        if (event === null) continue;
        events++;
        problems = this.#event(event, changes) || problems;
        this.#version = event.version;
      }
    } finally {
      // What came before a broken line is good.
      if (problems) this.#listener.problemsChanged();
      if (changes.length > 0) this.#listener.changed(changes);
    }
    return events;
  }

  /** Whether the problems of objects may be others than before. */
  #event(event: WatchEvent, changes: ClusterChange[]): boolean {
    if (event.type === "BOOKMARK") return false;
    const received = receive(event.object, this.#resource, this.store);
    if (received === null) return false;
    const { key } = received;
    const hadProblems = this.store.hasProblems(key);
    const change = event.type === "DELETED" ? this.store.remove(key) : this.store.apply(received);
    if (change !== null) changes.push(change);
    return hadProblems || received.problems.length > 0;
  }

  #get(query: Record<string, string>, idleMs: number, signal: AbortSignal) {
    const { path, selector } = this.#resource;
    const { answerMs } = this.#limits;
    return this.#transport.get({
      path,
      query: { ...selector, ...query },
      answerMs,
      idleMs,
      signal,
    });
  }

  /** What to do after a list that failed, and how long to wait before. */
  #listFailed(failure: ApiFailure): number {
    if (this.#resource.optional === true && isRefusal(failure)) return this.#doWithout(failure);
    this.#report("list", failure);
    const wait = this.#backoff.next(failure.details.retryAfterMs);
    if (!failure.expired && failure.details.versionTooLarge !== true) return wait;
    // Either our version, or the list that the pages are of, is not known there (any more).
    const fresh = this.#version === "";
    if (fresh) this.#paged = false;
    this.#version = "";
    return fresh || failure.details.versionTooLarge === true ? wait : 0;
  }

  /** An empty list takes the place of the one that cannot be had. */
  #doWithout(failure: ApiFailure): number {
    logger.debug("without {path}: {error}", {
      path: this.#resource.path,
      error: failure.message,
    });
    const first = !this.#listed;
    this.#listed = true;
    this.#version = "0";
    this.#backoff.reset();
    const changes = this.store.replace(new Map());
    if (first || changes.length > 0) this.#listener.changed(changes);
    return REFUSED_MS;
  }

  /** What to do after a watch that failed, and how long to wait before. */
  #watchFailed(failure: ApiFailure): number {
    if (this.#resource.optional === true && isRefusal(failure)) {
      this.#mustList = true;
      return this.#doWithout(failure);
    }
    this.#watchFailures++;
    const { status, retryAfterMs, versionTooLarge } = failure.details;
    if (failure.expired) {
      logger.debug("{path}: version {version} is no longer known, listing again", {
        path: this.#resource.path,
        version: this.#version,
      });
      this.#mustList = true;
      // Once is normal, after an API server's restart above all. A list that expires at once is not.
      return ++this.#expirations > 1 ? this.#backoff.next(retryAfterMs) : 0;
    }
    if (versionTooLarge === true || status === 400) {
      this.#version = "";
      this.#mustList = true;
    } else if (this.#watchFailures % MAX_WATCH_FAILURES === 0) {
      this.#mustList = true;
    }
    if (this.#watchFailures >= REPORTED_WATCH_FAILURES) this.#report("watch", failure);
    return this.#backoff.next(retryAfterMs);
  }

  #report(verb: string, failure: ApiFailure): void {
    const trouble = `cannot ${verb}, trying again: ${failure.message}`;
    if (trouble === this.#trouble) return;
    this.#trouble = trouble;
    this.#listener.problemsChanged();
  }

  /** The watch makes progress: what went wrong before is over. */
  #followed(): void {
    this.#watchFailures = 0;
    this.#expirations = 0;
    this.#backoff.reset();
    if (this.#trouble === null) return;
    this.#trouble = null;
    this.#listener.problemsChanged();
  }
}

/** Whether the server does not have what was asked for, or does not show it to us. */
function isRefusal({ details: { status } }: ApiFailure): boolean {
  return status === 403 || status === 404;
}
