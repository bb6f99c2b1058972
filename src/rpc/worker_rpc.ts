/**
 * Typed calls between a thread and its worker over postMessage: one promise per call, errors carried
 * across by message.
 *
 * @module
 */

import { messageOf } from "../errors.ts";

/** What a worker offers: functions by name, synchronous or not, over structured-cloneable values. */
// deno-lint-ignore no-explicit-any -- argument lists differ by method; callers get them from the type
export type Methods = Record<string, (...args: any[]) => unknown>;

/** The caller's side: the same functions, each answering with a promise. */
export type Remote<M extends Methods> = {
  [K in keyof M]: (...args: Parameters<M[K]>) => Promise<Awaited<ReturnType<M[K]>>>;
};

interface Call {
  readonly id: number;
  readonly method: string;
  readonly args: readonly unknown[];
}

type Answer =
  | { readonly id: number; readonly value: unknown }
  | { readonly id: number; readonly error: string };

/** The part of Worker and of a worker's global scope that calls travel through. */
interface Port {
  postMessage(message: unknown): void;
  addEventListener(type: "message", listener: (event: MessageEvent) => void): void;
}

/** Answers calls that arrive at the port, in the order of arrival, with these methods. */
export function serveCalls(port: Port, methods: Methods): void {
  port.addEventListener("message", async (event) => {
    // Answers to calls in the other direction come by the same port.
    if (!("method" in event.data)) return;
    const { id, method, args } = event.data as Call;
    try {
      if (!Object.hasOwn(methods, method)) {
        throw new TypeError(`no method ${method} in this worker`);
      }
      port.postMessage({ id, value: await methods[method](...args) } satisfies Answer);
    } catch (error) {
      const text = messageOf(error);
      port.postMessage({ id, error: text } satisfies Answer);
    }
  });
}

/** Options of {@link connectWorker}. */
export interface ConnectOptions {
  /** Called after each posted call: wakes a worker that blocks outside its event loop. */
  readonly wake?: () => void;
  /** Called once when the worker fails outside a call. */
  readonly failed?: (error: Error) => void;
}

/**
 * The caller's side of {@link serveCalls}; each of the two threads may both call and serve. When the
 * worker fails outside a call (it could not load, an uncaught error), every open call and every
 * later one rejects with that error.
 */
export function connectWorker<M extends Methods>(
  worker: Worker,
  options: ConnectOptions = {},
): Remote<M> {
  const open = new Map<number, { resolve(value: unknown): void; reject(error: Error): void }>();
  let next = 1;
  let failure: Error | null = null;
  worker.addEventListener("message", (event: MessageEvent) => {
    if ("method" in event.data) return;
    const answer = event.data as Answer;
    const call = open.get(answer.id);
    open.delete(answer.id);
    if ("error" in answer) call?.reject(new Error(answer.error));
    else call?.resolve(answer.value);
  });
  worker.addEventListener("error", (event: ErrorEvent) => {
    event.preventDefault();
    failure = new Error(`worker failed: ${event.message}`);
    for (const call of open.values()) call.reject(failure);
    open.clear();
    options.failed?.(failure);
  });
  const call = (method: string, args: unknown[]) => {
    if (failure !== null) return Promise.reject(failure);
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const id = next++;
    open.set(id, { resolve, reject });
    worker.postMessage({ id, method, args } satisfies Call);
    options.wake?.();
    return promise;
  };
  return new Proxy({} as Remote<M>, {
    get: (_, method) =>
      typeof method === "string" && method !== "then"
        ? (...args: unknown[]) => call(method, args)
        : undefined,
  });
}
