/**
 * Listeners in a network namespace that is not this thread's, such as the lab's node.
 *
 * @module
 */

import { connectWorker, type Remote, serveCalls } from "../rpc/worker_rpc.ts";
import type { ListenerMethods } from "./listener_worker.ts";
import type { Answerer, AnswerMethods, Listeners } from "./listeners.ts";

/** A thread in the namespace. */
interface Listening {
  readonly worker: Worker;
  readonly remote: Remote<ListenerMethods>;
  /** Resolves when it is there. */
  readonly entered: Promise<void>;
}

/** Listens by a thread of its own, which is started when the first listener is asked for. */
export class NamespaceListeners implements Listeners {
  readonly #namespaceFd: number;
  readonly #answer: Answerer;
  #listening: Listening | null = null;

  /** @param namespaceFd this process's descriptor of the namespace. */
  constructor(namespaceFd: number, answer: Answerer) {
    this.#namespaceFd = namespaceFd;
    this.#answer = answer;
  }

  async open(service: string, port: number, addresses: readonly string[]): Promise<void> {
    const { remote, entered } = this.#listening ??= this.#start();
    await entered;
    await remote.open(service, port, addresses);
  }

  async close(service: string): Promise<void> {
    await this.#listening?.remote.close(service);
  }

  async stop(): Promise<void> {
    const listening = this.#listening;
    this.#listening = null;
    try {
      await listening?.remote.stop();
    } finally {
      listening?.worker.terminate();
    }
  }

  #start(): Listening {
    const worker = new Worker(new URL("./listener_worker.ts", import.meta.url), {
      type: "module",
      name: "health check node ports",
    });
    serveCalls(worker, { answer: this.#answer } satisfies AnswerMethods);
    const remote = connectWorker<ListenerMethods>(worker);
    const entered = remote.enter(this.#namespaceFd);
    entered.catch(() => {});
    return { worker, remote, entered };
  }
}
