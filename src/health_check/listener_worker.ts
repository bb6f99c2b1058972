/**
 * A thread that lives in another network namespace and listens there; what to answer it asks the
 * thread that started it.
 *
 * @module
 */

import { NetworkNamespace } from "../linux/namespace.ts";
import { connectWorker, serveCalls } from "../rpc/worker_rpc.ts";
import { type AnswerMethods, HttpListeners } from "./listeners.ts";

const starter = self as unknown as Worker;
const { answer } = connectWorker<AnswerMethods>(starter);
const listeners = new HttpListeners((service) => answer(service));

const methods = {
  /** Moves this thread into the namespace for good; comes before every other call. */
  enter(fd: number): void {
    NetworkNamespace.fromFd(fd).enter();
  },
  open: (service: string, port: number, addresses: readonly string[]) =>
    listeners.open(service, port, addresses),
  close: (service: string) => listeners.close(service),
  stop: () => listeners.stop(),
};

/** What the worker can be asked. */
export type ListenerMethods = typeof methods;

serveCalls(starter, methods);
