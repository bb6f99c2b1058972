/**
 * Connections to a server whose certificate is not looked at (`insecure-skip-tls-verify`).
 *
 * Deno's fetch verifies whatever happens, and Node's client, which takes a while to load and is only
 * loaded here, does not have to.
 *
 * @module
 */

import type * as https from "node:https";
import type { IncomingMessage } from "node:http";
import { parseAddress } from "../../net/address.ts";
import type { Connections, HttpRequest } from "./connections.ts";
import type { Credentials } from "./credentials.ts";
import { type Target, targetOf } from "./route.ts";

/** Answers that have no body, not even an empty one (Fetch Standard, "null body status"). */
const WITHOUT_BODY = [204, 205, 304];

interface NodeClient {
  readonly request: typeof https.request;
  readonly agent: https.Agent;
}

/** HTTP/1.1 over TLS with whoever answers. */
export class UnverifiedConnections implements Connections {
  readonly #credentials: Credentials;
  readonly #target: Target;
  #client: Promise<NodeClient> | null = null;

  /** @param relay a port of loopback that leads to the server; absent: straight to it. */
  constructor(credentials: Credentials, relay?: number) {
    this.#credentials = credentials;
    this.#target = relay === undefined
      ? targetOf(credentials.server)
      : { hostname: "127.0.0.1", port: relay };
  }

  async send({ method, url, headers, body, signal }: HttpRequest): Promise<Response> {
    const { request, agent } = await (this.#client ??= this.#open());
    signal.throwIfAborted();
    return await new Promise((resolve, reject) => {
      const outgoing = request({
        ...this.#target,
        agent,
        method,
        path: url.pathname + url.search,
        headers: { ...Object.fromEntries(headers), host: url.host },
        signal,
      }, (message) => {
        try {
          resolve(responseOf(message));
        } catch (error) {
          message.destroy();
          reject(error);
        }
      });
      // Once the answer has begun, its body tells of trouble too.
      outgoing.on("error", reject);
      outgoing.end(body);
    });
  }

  /** Each connection ends with its request. */
  close(): void {}

  async #open(): Promise<NodeClient> {
    const { Agent, request } = await import("node:https");
    const { cert, key, tlsServerName, server } = this.#credentials;
    const { hostname } = targetOf(server);
    const agent = new Agent({
      keepAlive: false,
      rejectUnauthorized: false,
      // Addresses are not asked for by name (RFC 6066, 3).
      servername: tlsServerName ?? (parseAddress(hostname) === null ? hostname : ""),
      ...(cert === undefined || key === undefined ? {} : { cert, key }),
    });
    return { agent, request };
  }
}

function responseOf(message: IncomingMessage): Response {
  const status = message.statusCode ?? 0;
  const headers = new Headers();
  for (let i = 0; i < message.rawHeaders.length; i += 2) {
    headers.append(message.rawHeaders[i], message.rawHeaders[i + 1]);
  }
  const body = WITHOUT_BODY.includes(status) ? null : bodyOf(message);
  if (body === null) message.resume();
  return new Response(body, { status, headers });
}

/** The body as fetch has it: it breaks when the connection does, and ends it when it is cancelled. */
function bodyOf(message: IncomingMessage): ReadableStream<Uint8Array<ArrayBuffer>> {
  const chunks = message[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (done) controller.close();
      else controller.enqueue(Uint8Array.from(value));
    },
    cancel() {
      message.destroy();
    },
  }, { highWaterMark: 0 });
}
