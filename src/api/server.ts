/**
 * Serving an HTTP application on a TCP address or a Unix socket.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { formatListenAddress, type SocketAddress } from "../config/values.ts";
import { messageOf } from "../errors.ts";
import { LastingServer } from "../net/lasting_server.ts";

const logger = getLogger(["switchyard", "http"]);

/** A server that listens. */
export interface RunningServer {
  /** Where it listens; the port is never 0. */
  readonly address: SocketAddress;
  /** Ends; requests under way get a moment to be answered. */
  stop(): Promise<void>;
}

/** A server that listens on a Unix socket. */
export interface RunningSocketServer {
  readonly path: string;
  /** Ends like {@link RunningServer.stop}; Deno takes the socket away. */
  stop(): Promise<void>;
}

/** Answers requests. */
export type Handler = (request: Request) => Response | Promise<Response>;

/** Requests that are under way get this long when a server stops, milliseconds. */
const GRACE_MS = 1000;

/** What others may do with the socket: 0660, read and write for owner and group. */
const SOCKET_UMASK = 0o117;

/** An address on which nothing can listen; one line. */
export class ListenError extends Error {
  override readonly name = "ListenError";
}

/**
 * Listens and answers.
 *
 * @throws {ListenError} when the address is in use, not of this machine, or not permitted.
 */
export function serve(address: SocketAddress, handler: Handler): RunningServer {
  const { host: hostname } = address;
  const { server, stop } = listening<Deno.HttpServer<Deno.NetAddr>>(
    formatListenAddress(address),
    handler,
    (options, handle, first) => {
      const port = first?.addr.port ?? address.port;
      return Deno.serve({ hostname, port, ...options }, handle);
    },
  );
  return { address: { host: hostname, port: server.addr.port }, stop };
}

/**
 * Listens on a Unix socket, which only its owner and group can use, and answers. A socket that
 * nobody listens on any more is replaced.
 *
 * @throws {ListenError} when something listens there, when it is no socket, or not permitted.
 */
export async function serveSocket(path: string, handler: Handler): Promise<RunningSocketServer> {
  await removeStale(path);
  const { stop } = listening<Deno.HttpServer<Deno.UnixAddr>>(path, handler, (options, handle) => {
    const before = Deno.umask(SOCKET_UMASK);
    try {
      return Deno.serve({ path, ...options }, handle);
    } finally {
      Deno.umask(before);
    }
  });
  return { path, stop };
}

interface ServeOptions {
  readonly signal: AbortSignal;
  readonly automaticCompression: boolean;
  onListen(): void;
}

function listening<Server extends Deno.HttpServer<Deno.Addr>>(
  where: string,
  handler: Handler,
  start: (options: ServeOptions, handle: Handler, first: Server | null) => Server,
): { readonly server: Server; stop(): Promise<void> } {
  let underWay = 0;
  let idle = () => {};
  const ended = () => {
    if (--underWay === 0) idle();
  };
  const handle = (request: Request): Response | Promise<Response> => {
    const answer = handler(asGet(request));
    if (answer instanceof Response) return answer;
    underWay++;
    answer.then(ended, ended);
    return answer;
  };
  let server: LastingServer<Server>;
  try {
    const options = { automaticCompression: true, onListen: () => {} };
    server = new LastingServer(
      (signal, first) => start({ ...options, signal }, handle, first),
      (why) => logger.error("{where}: {why}: all connections are closed", { where, why }),
    );
  } catch (error) {
    const reason = error instanceof Deno.errors.AddrInUse ? "the port is in use" : messageOf(error);
    throw new ListenError(`cannot listen on ${where}: ${reason}`);
  }
  return {
    server: server.first,
    async stop() {
      // Deno's shutdown() waits for slow clients without limit, and cannot be cut short.
      const grace = Promise.withResolvers<void>();
      const timer = setTimeout(grace.resolve, GRACE_MS);
      idle = grace.resolve;
      if (underWay === 0) idle();
      await grace.promise;
      clearTimeout(timer);
      await server.end();
    },
  };
}

/** For HEAD Deno leaves the body out, but has to see it to tell its length (RFC 9110, 8.6). */
function asGet(request: Request): Request {
  const { url, method, headers } = request;
  // A host that no URL can have is for the handler to refuse.
  return method === "HEAD" && URL.canParse(url) ? new Request(url, { headers }) : request;
}

/** Takes away a socket that is left of a process that was killed. */
async function removeStale(path: string): Promise<void> {
  const cannot = (why: string) => new ListenError(`cannot listen on ${path}: ${why}`);
  try {
    if (!(await Deno.lstat(path)).isSocket) throw cannot("it is there, and no socket");
    const connection = await Deno.connect({ transport: "unix", path });
    connection.close();
  } catch (error) {
    if (error instanceof ListenError) throw error;
    if (error instanceof Deno.errors.NotFound) return;
    if (!(error instanceof Deno.errors.ConnectionRefused)) throw cannot(messageOf(error));
    try {
      return await Deno.remove(path);
    } catch (error) {
      throw cannot(messageOf(error));
    }
  }
  throw cannot("the socket is in use");
}
