/**
 * A way to one server by another name, or for others than Deno's fetch.
 *
 * Deno's fetch verifies the name that stands in the URL, and connects there. With this forward proxy
 * in between, on loopback and inside this process, it connects to the server whatever the name is, and
 * through whatever proxy.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { messageOf } from "./failure.ts";
import { readHead, writeAll } from "./http_head.ts";

const logger = getLogger(["switchyard", "kubernetes"]);

const ACCEPT_RETRY_MS = 1000;

/** What a tunnel is to do with who connects to it. */
export interface TunnelOptions {
  /** Connects to the server. */
  readonly dial: () => Promise<Deno.Conn>;
  /** Nobody says CONNECT first: what comes is for the server at once. */
  readonly bare?: boolean;
}

/** A proxy that answers every CONNECT with a connection to one fixed server. */
export class Tunnel {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #dial: () => Promise<Deno.Conn>;
  readonly #bare: boolean;
  #failure: string | null = null;
  #closed = false;

  constructor({ dial, bare = false }: TunnelOptions) {
    this.#dial = dial;
    this.#bare = bare;
    void this.#serve();
  }

  /** Where it listens, on 127.0.0.1. */
  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  /** The proxy's address, as in `proxy-url`. */
  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Why the server was not reached the last time; null: it was. */
  get failure(): string | null {
    return this.#failure;
  }

  /** Takes no connections any more; those that are open end with their requests. */
  close(): void {
    this.#closed = true;
    this.#listener.close();
  }

  async #serve(): Promise<void> {
    while (!this.#closed) {
      try {
        const connection = await this.#listener.accept();
        this.#join(connection).catch((error) => this.#report(error));
      } catch (error) {
        if (this.#closed) return;
        // Out of file descriptors, say: that passes.
        this.#report(error);
        await new Promise((resolve) => setTimeout(resolve, ACCEPT_RETRY_MS));
      }
    }
  }

  #report(error: unknown): void {
    logger.debug("tunnel: {error}", { error: messageOf(error) });
  }

  async #join(near: Deno.Conn): Promise<void> {
    using _near = near;
    if (!this.#bare && await readHead(near) === null) return;
    let far: Deno.Conn;
    try {
      far = await this.#dial();
      this.#failure = null;
    } catch (error) {
      this.#failure = messageOf(error);
      if (!this.#bare) await writeAll(near, "HTTP/1.1 502 Bad Gateway\r\n\r\n");
      throw error;
    }
    using _far = far;
    if (!this.#bare) await writeAll(near, "HTTP/1.1 200 OK\r\n\r\n");
    // When one direction ends, for whatever reason, both connections are closed.
    await Promise.race([copy(near, far), copy(far, near)]);
  }
}

/** Resolves when the source ends or either side breaks. */
async function copy(from: Deno.Conn, to: Deno.Conn): Promise<void> {
  const buffer = new Uint8Array(65_536);
  try {
    for (let read = await from.read(buffer); read !== null; read = await from.read(buffer)) {
      await writeAll(to, buffer.subarray(0, read));
    }
  } catch (error) {
    logger.trace("a tunnelled connection broke: {error}", { error: messageOf(error) });
  }
}
