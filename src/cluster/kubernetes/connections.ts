/**
 * What carries requests to the API server.
 *
 * @module
 */

/** A request as it is sent. */
export interface HttpRequest {
  readonly method: string;
  /** Of the API server, under its own name. */
  readonly url: URL;
  readonly headers: Headers;
  readonly body?: string;
  readonly signal: AbortSignal;
}

/** A pool of connections. */
export interface Connections {
  /** The answer, as soon as it begins. */
  send(request: HttpRequest): Promise<Response>;
  /** No request begins any more. */
  close(): void;
}
