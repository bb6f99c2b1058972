/**
 * Connections to the API server: over Deno's fetch, or, where the server is not to be verified, over
 * Node's client.
 *
 * @module
 */

import type { Connections, HttpRequest } from "./connections.ts";
import type { Credentials } from "./credentials.ts";
import { dial } from "./dial.ts";
import { ApiFailure, messageOf } from "./failure.ts";
import { targetOf } from "./route.ts";
import { Tunnel } from "./tunnel.ts";
import { UnverifiedConnections } from "./unverified.ts";

/** @throws {ApiFailure} when CA, certificate or key are not what they should be. */
export function connect(credentials: Credentials): Connections {
  const { server, tlsServerName, insecure, proxyUrl } = credentials;
  if (!server.startsWith("https:")) {
    return new FetchConnections({ ...credentials, tlsServerName: undefined }, proxyUrl);
  }
  const route = { proxyUrl, caCerts: authorities(credentials) };
  const reach = () => dial(targetOf(server), route);
  if (insecure) {
    const tunnel = proxyUrl === undefined ? null : new Tunnel({ dial: reach, bare: true });
    return through(tunnel, () => new UnverifiedConnections(credentials, tunnel?.port));
  }
  if (tlsServerName === undefined) return new FetchConnections(credentials, proxyUrl);
  const tunnel = new Tunnel({ dial: reach });
  return through(tunnel, () => new FetchConnections(credentials, tunnel.url));
}

/** Connections through a tunnel, which ends with them. */
function through(tunnel: Tunnel | null, open: () => Connections): Connections {
  try {
    const connections = open();
    return tunnel === null ? connections : new TunnelledConnections(connections, tunnel);
  } catch (error) {
    tunnel?.close();
    throw error;
  }
}

class TunnelledConnections implements Connections {
  readonly #connections: Connections;
  readonly #tunnel: Tunnel;

  constructor(connections: Connections, tunnel: Tunnel) {
    this.#connections = connections;
    this.#tunnel = tunnel;
  }

  /** Who sends learns of the tunnel's end only that it broke. */
  async send(request: HttpRequest): Promise<Response> {
    try {
      return await this.#connections.send(request);
    } catch (error) {
      const { failure } = this.#tunnel;
      if (failure === null || request.signal.aborted) throw error;
      throw new ApiFailure(failure);
    }
  }

  close(): void {
    this.#connections.close();
    this.#tunnel.close();
  }
}

class FetchConnections implements Connections {
  readonly #client: Deno.HttpClient;
  readonly #tlsServerName: string | undefined;

  constructor(credentials: Credentials, proxy: string | undefined) {
    this.#client = httpClient(credentials, proxy);
    this.#tlsServerName = credentials.tlsServerName;
  }

  /** With a TLS server name, that is what stands in the URL, and the connection goes to the server. */
  send({ url, ...request }: HttpRequest): Promise<Response> {
    const address = new URL(url);
    if (this.#tlsServerName !== undefined) {
      request.headers.set("host", url.host);
      address.hostname = this.#tlsServerName;
    }
    return fetch(address, { ...request, client: this.#client, redirect: "error" });
  }

  close(): void {
    this.#client.close();
  }
}

/**
 * HTTP/1.1 only: each watch has a connection of its own, and one that went dead without a word is
 * gone when its request is aborted. Over HTTP/2 the next request would use it again.
 */
function httpClient(credentials: Credentials, proxy: string | undefined): Deno.HttpClient {
  const { cert, key } = credentials;
  const options = {
    http1: true,
    http2: false,
    allowHost: true,
    poolMaxIdlePerHost: 4,
    poolIdleTimeout: 30_000,
    caCerts: authorities(credentials),
    ...(proxy === undefined ? {} : { proxy: { transport: proxyTransport(proxy), url: proxy } }),
  };
  try {
    return cert === undefined || key === undefined
      ? Deno.createHttpClient(options)
      : Deno.createHttpClient({ ...options, cert, key });
  } catch (error) {
    throw new ApiFailure(
      `expected a CA, client certificate and key in PEM: ${messageOf(error)}`,
    );
  }
}

function proxyTransport(url: string): "http" | "https" | "socks5" {
  return url.startsWith("socks5") ? "socks5" : url.startsWith("https:") ? "https" : "http";
}

/** A CA file may hold several certificates, with text between them. */
function authorities({ ca }: Credentials): string[] {
  if (ca === undefined) return [];
  const found = ca.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g);
  if (found === null) throw new ApiFailure("certificate-authority: expected certificates in PEM");
  return found.map((one) => `${one}\n`);
}
