/**
 * HTTP servers that outlive a want of file descriptors. Deno's own ends for good when it cannot accept
 * a connection, and where nobody hears of that, ends the process.
 *
 * @module
 */

import { messageOf } from "../errors.ts";

/** Where a server cannot listen again, it is tried again this often, milliseconds. */
const RETRY_MS = 1000;

/** What Deno.serve returns. */
interface Listening {
  readonly finished: Promise<void>;
}

/**
 * Begins to listen.
 *
 * @param signal ends the server with all its connections.
 * @param first the server that began first, in whose place this one listens; null: this is the first.
 */
export type Begin<Server extends Listening> = (signal: AbortSignal, first: Server | null) => Server;

/**
 * A server that lasts until it is ended. When it cannot accept a connection, most likely because
 * idle ones hold all file descriptors, it lets all of them go and listens again.
 */
export class LastingServer<Server extends Listening> {
  /** The server that began first. */
  readonly first: Server;
  readonly #begin: Begin<Server>;
  readonly #failed: (why: string) => void;
  #abort = new AbortController();
  #finished: Promise<void>;
  #retry: ReturnType<typeof setTimeout> | undefined;
  #ended = false;

  /**
   * @param failed is told why connections had to go, each time.
   * @throws what `begin` throws at first.
   */
  constructor(begin: Begin<Server>, failed: (why: string) => void) {
    this.#begin = begin;
    this.#failed = failed;
    this.first = begin(this.#abort.signal, null);
    this.#finished = this.#watch(this.first);
  }

  /** Ends it, with all connections. */
  async end(): Promise<void> {
    this.#ended = true;
    clearTimeout(this.#retry);
    this.#abort.abort();
    await this.#finished;
  }

  async #watch(server: Server): Promise<void> {
    try {
      await server.finished;
    } catch (error) {
      this.#abort.abort();
      this.#failed(messageOf(error));
      this.#again();
    }
  }

  #again(): void {
    if (this.#ended) return;
    this.#abort = new AbortController();
    try {
      this.#finished = this.#watch(this.#begin(this.#abort.signal, this.first));
    } catch {
      // Told of already: what was wanting then is wanting still.
      this.#retry = setTimeout(() => this.#again(), RETRY_MS);
    }
  }
}
