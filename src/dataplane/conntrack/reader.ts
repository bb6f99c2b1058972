/**
 * Reads the kernel's connections on a thread of its own: a full table takes the kernel a second or
 * more to tell, and nothing else of this process may wait for that.
 *
 * @module
 */

import type { NetworkNamespace } from "../../linux/namespace.ts";
import type { Connection, ConnectionFilter } from "../../netlink/netfilter/conntrack.ts";
import { connectWorker } from "../../rpc/worker_rpc.ts";
import type { ReaderMethods } from "./reader_worker.ts";

/** Connections handed over at a time: some milliseconds of work. */
const PART = 1000;
/** Tables that are read at the same time; each is held in memory. */
const READERS = 2;

/** Reads the connections of one node. */
export class ConnectionReader {
  readonly #namespace: () => NetworkNamespace;
  #reading = 0;
  readonly #waiting: (() => void)[] = [];

  /** @param namespace a descriptor of the node's namespace, which is closed after use. */
  constructor(namespace: () => NetworkNamespace) {
    this.#namespace = namespace;
  }

  /**
   * The connections that match all of a filter and whose ids are above `after`, by id, in parts.
   * Rejects when the kernel refuses.
   */
  async *read(filter: ConnectionFilter, after = -1): AsyncGenerator<readonly Connection[]> {
    await this.#turn();
    let worker: Worker | null = null;
    try {
      using namespace = this.#namespace();
      worker = new Worker(new URL("./reader_worker.ts", import.meta.url), {
        type: "module",
        name: "conntrack reader",
      });
      const remote = connectWorker<ReaderMethods>(worker);
      const count = await remote.read(namespace.fd, filter, after);
      for (let from = 0; from < count; from += PART) yield await remote.part(from, PART);
    } finally {
      worker?.terminate();
      this.#reading--;
      this.#waiting.shift()?.();
    }
  }

  async #turn(): Promise<void> {
    while (this.#reading >= READERS) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve));
    }
    this.#reading++;
  }
}
