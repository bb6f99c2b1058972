/**
 * Serving an HTTP application on a TCP address.
 *
 * @module
 */

import { formatListenAddress, type SocketAddress } from "../config/values.ts";

/** A server that listens. */
export interface RunningServer {
  /** Where it listens; the port is never 0. */
  readonly address: SocketAddress;
  /** Ends; requests under way get a moment to be answered. */
  stop(): Promise<void>;
}

/** Requests that are under way get this long when a server stops, milliseconds. */
const GRACE_MS = 1000;

/** An address on which nothing can listen; one line. */
export class ListenError extends Error {
  override readonly name = "ListenError";
}

/**
 * Listens and answers.
 *
 * @throws {ListenError} when the address is in use, not of this machine, or not permitted.
 */
export function serve(
  address: SocketAddress,
  handler: (request: Request) => Response | Promise<Response>,
): RunningServer {
  const abort = new AbortController();
  const underWay = new Set<Promise<unknown>>();
  const handle = async (request: Request): Promise<Response> => {
    const answer = Promise.resolve(handler(request));
    underWay.add(answer);
    try {
      return await answer;
    } finally {
      underWay.delete(answer);
    }
  };
  let server: Deno.HttpServer<Deno.NetAddr>;
  try {
    server = Deno.serve({
      hostname: address.host,
      port: address.port,
      signal: abort.signal,
      automaticCompression: true,
      onListen: () => {},
    }, handle);
  } catch (error) {
    const reason = error instanceof Deno.errors.AddrInUse
      ? "the port is in use"
      : error instanceof Error
      ? error.message
      : String(error);
    throw new ListenError(`cannot listen on ${formatListenAddress(address)}: ${reason}`);
  }
  return {
    address: { host: address.host, port: server.addr.port },
    async stop() {
      // Deno's shutdown() waits for slow clients without limit, and cannot be cut short.
      const grace = Promise.withResolvers<void>();
      const timer = setTimeout(grace.resolve, GRACE_MS);
      await Promise.race([Promise.allSettled(underWay), grace.promise]);
      clearTimeout(timer);
      abort.abort();
      await server.finished;
    },
  };
}
