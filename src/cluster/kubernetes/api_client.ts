/**
 * Requests to the API server, as someone.
 *
 * @module
 */

import { connect } from "./connect.ts";
import type { Connections } from "./connections.ts";
import { type Credentials, CredentialStore } from "./credentials.ts";
import { ApiFailure, failureFromStatus, messageOf, retryAfterMs } from "./failure.ts";
import type { AccessOptions } from "./access.ts";
import { systemTiming, type Timing, unlessAborted } from "./timing.ts";
import { Watchdog } from "./watchdog.ts";

/** One GET. */
export interface ApiRequest {
  /** "/api/v1/services" */
  readonly path: string;
  readonly query?: Readonly<Record<string, string>>;
  /** Longest wait for the answer to begin, milliseconds. */
  readonly answerMs: number;
  /** Longest silence within the answer, milliseconds. */
  readonly idleMs: number;
  readonly signal: AbortSignal;
}

/** A request that makes or changes an object. */
export interface ApiWrite {
  readonly method: "POST" | "PATCH";
  /** "/apis/events.k8s.io/v1/namespaces/default/events" */
  readonly path: string;
  /** The object, or the merge patch (RFC 7386). */
  readonly body: unknown;
  /** Longest wait for the answer, milliseconds. */
  readonly answerMs: number;
  readonly signal: AbortSignal;
}

/** Sends what an event recorder has to say; {@link ApiClient} sends it to an API server. */
export interface ApiWriter {
  /** @throws {ApiFailure} when there is no successful answer. */
  send(write: ApiWrite): Promise<void>;
}

/** What a reflector asks; {@link ApiClient} answers it from an API server. */
export interface ApiTransport {
  /** Where requests go, for messages. */
  readonly server: string;
  /**
   * The body of a successful answer. It has to be read, at least in part: that ends the request. The
   * reading throws when the connection breaks or falls silent.
   *
   * @throws {ApiFailure} when there is no successful answer.
   */
  get(request: ApiRequest): Promise<AsyncIterable<Uint8Array>>;
}

/** A request that was answered, or not. */
export interface ApiAnswer {
  readonly method: "GET" | "POST" | "PATCH";
  /** "host:port" of the server. */
  readonly host: string;
  /** Null: there was no answer. */
  readonly status: number | null;
  /** Until the answer began, milliseconds. */
  readonly durationMs: number;
}

/** What an {@link ApiClient} may be told besides how to reach the server. */
export interface ClientOptions {
  readonly userAgent?: string;
  /** Told of every request, for metrics. */
  readonly answered?: (answer: ApiAnswer) => void;
}

/** Most bytes of an unsuccessful answer that are read. */
const MAX_ERROR_BYTES = 65_536;

/** A client of one API server, as one user. */
export class ApiClient implements ApiTransport, ApiWriter {
  readonly server: string;
  readonly #store: CredentialStore;
  readonly #timing: Timing;
  readonly #options: ClientOptions;
  #current: { readonly connections: Connections; readonly key: string } | null = null;

  private constructor(
    server: string,
    store: CredentialStore,
    timing: Timing,
    options: ClientOptions,
  ) {
    this.server = server;
    this.#store = store;
    this.#timing = timing;
    this.#options = options;
  }

  /**
   * A client with its credentials read; nothing is sent yet.
   *
   * @throws {Error} with the file, the field and what was expected.
   */
  static async open(
    options: AccessOptions & ClientOptions,
    timing: Timing = systemTiming,
  ): Promise<ApiClient> {
    const store = new CredentialStore(options, timing);
    const credentials = await store.current();
    const client = new ApiClient(
      credentials.server,
      store,
      timing,
      options,
    );
    client.#connectionsFor(credentials);
    return client;
  }

  async get(request: ApiRequest): Promise<AsyncIterable<Uint8Array>> {
    const watchdog = new Watchdog(request.signal, this.#timing);
    try {
      watchdog.feed(request.answerMs);
      const response = await this.#authorized(request, watchdog.signal);
      if (response.status !== 200) throw await unsuccessful(response);
      return bodyOf(response, request, watchdog);
    } catch (error) {
      watchdog.close();
      throw failureOf(error, watchdog);
    }
  }

  async send(write: ApiWrite): Promise<void> {
    const watchdog = new Watchdog(write.signal, this.#timing);
    try {
      watchdog.feed(write.answerMs);
      const response = await this.#authorized(write, watchdog.signal);
      if (!response.ok) throw await unsuccessful(response);
      await response.body?.cancel();
    } catch (error) {
      throw failureOf(error, watchdog);
    } finally {
      watchdog.close();
    }
  }

  /** Ends all connections. */
  close(): void {
    this.#current?.connections.close();
    this.#current = null;
  }

  /** Credentials that are refused are read again, and tried once more if they are others now. */
  async #authorized(request: Outgoing, signal: AbortSignal): Promise<Response> {
    const credentials = await this.#credentials(signal);
    const response = await this.#fetch(request, credentials, signal);
    if (response.status !== 401) return response;
    this.#store.refuse(credentials);
    const fresh = await this.#credentials(signal);
    if (sameIdentity(credentials, fresh)) return response;
    await response.body?.cancel();
    return await this.#fetch(request, fresh, signal);
  }

  async #credentials(signal: AbortSignal): Promise<Credentials> {
    try {
      // A plugin may take its time, and is not interrupted.
      return await unlessAborted(this.#store.current(), signal);
    } catch (error) {
      if (signal.aborted) throw error;
      throw new ApiFailure(`no credentials: ${messageOf(error)}`);
    }
  }

  async #fetch(
    request: Outgoing,
    credentials: Credentials,
    signal: AbortSignal,
  ): Promise<Response> {
    const begun = performance.now();
    let status: number | null = null;
    try {
      const response = await this.#send(request, credentials, signal);
      status = response.status;
      return response;
    } finally {
      this.#options.answered?.({
        method: request.method ?? "GET",
        host: new URL(credentials.server).host,
        status,
        durationMs: performance.now() - begun,
      });
    }
  }

  #send(request: Outgoing, credentials: Credentials, signal: AbortSignal): Promise<Response> {
    const { method = "GET", body } = request;
    const headers = new Headers([
      ["accept", "application/json"],
      ["user-agent", this.#options.userAgent ?? "switchyard"],
      ...credentials.headers,
    ].map(([name, value]) => [name, value] as [string, string]));
    if (body !== undefined) headers.set("content-type", CONTENT_TYPES[method]);
    return this.#connectionsFor(credentials).send({
      method,
      url: requestUrl(request, credentials),
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal,
    });
  }

  /** Connections are made anew when CA or client certificate are others than before. */
  #connectionsFor(credentials: Credentials): Connections {
    const { headers: _, ...identity } = credentials;
    const key = JSON.stringify(identity);
    if (this.#current?.key === key) return this.#current.connections;
    const connections = connect(credentials);
    this.close();
    this.#current = { connections, key };
    return connections;
  }
}

/** What the two kinds of request have in common. */
type Outgoing = Pick<ApiRequest, "path" | "query"> & Partial<Pick<ApiWrite, "method" | "body">>;

const CONTENT_TYPES = {
  GET: "application/json",
  POST: "application/json",
  PATCH: "application/merge-patch+json",
} as const;

function requestUrl({ path, query = {} }: Outgoing, { server }: Credentials): URL {
  const search = new URLSearchParams(query).toString();
  return new URL(server + path + (search === "" ? "" : `?${search}`));
}

function sameIdentity(one: Credentials, other: Credentials): boolean {
  return JSON.stringify(one) === JSON.stringify(other);
}

async function unsuccessful(response: Response): Promise<ApiFailure> {
  const details = { status: response.status, retryAfterMs: retryAfterMs(response.headers) };
  let text = "";
  const decoder = new TextDecoder();
  if (response.body !== null) {
    // Leaving the loop cancels the rest.
    for await (const chunk of response.body) {
      text += decoder.decode(chunk, { stream: true });
      if (text.length >= MAX_ERROR_BYTES) break;
    }
  }
  try {
    return failureFromStatus(JSON.parse(text), details);
  } catch {
    // A proxy or load balancer in between answers in its own words.
    return failureFromStatus({ message: text.slice(0, 200) }, details);
  }
}

async function* bodyOf(
  response: Response,
  { idleMs }: ApiRequest,
  watchdog: Watchdog,
): AsyncGenerator<Uint8Array> {
  const reader = response.body?.getReader();
  let ended = reader === undefined;
  try {
    while (!ended) {
      watchdog.feed(idleMs);
      const { done, value } = await reader!.read();
      watchdog.rest();
      ended = done;
      if (value !== undefined) yield value;
    }
  } catch (error) {
    ended = true;
    throw failureOf(error, watchdog);
  } finally {
    watchdog.close();
    if (!ended) await reader!.cancel();
  }
}

function failureOf(error: unknown, watchdog: Watchdog): Error {
  if (error instanceof ApiFailure) return error;
  if (watchdog.barked) return new ApiFailure(messageOf(watchdog.signal.reason));
  // Fetch hides the trouble in its cause, behind the URL, which who reports it adds.
  const cause = error instanceof TypeError && error.cause !== undefined ? error.cause : error;
  const message = (cause instanceof Error ? cause.message : String(cause))
    .replace(/^error sending request (for url \(.*?\)|from \S+ for \S+ \(.*?\)): /, "");
  return new ApiFailure(message === "" ? "the connection broke" : message);
}
