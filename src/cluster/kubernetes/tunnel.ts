/**
 * A way to one server by another name.
 *
 * Deno's fetch verifies the name that stands in the URL, and connects there. With this forward proxy
 * in between, on loopback and inside this process, it connects to the server whatever the name is.
 *
 * @module
 */

import { getLogger } from "@logtape/logtape";
import { messageOf } from "./failure.ts";

const logger = getLogger(["switchyard", "kubernetes"]);

/** Longest head of a CONNECT request, in bytes. */
const MAX_HEAD_BYTES = 8192;
const ACCEPT_RETRY_MS = 1000;

/** A proxy that answers every CONNECT with a connection to one fixed server. */
export class Tunnel {
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #server: { readonly hostname: string; readonly port: number };
  #closed = false;

  constructor(hostname: string, port: number) {
    this.#server = { hostname, port };
    void this.#serve();
  }

  /** The proxy's address, as in `proxy-url`. */
  get url(): string {
    return `http://127.0.0.1:${(this.#listener.addr as Deno.NetAddr).port}`;
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
    const { hostname } = this.#server;
    logger.debug("tunnel to {hostname}: {error}", { hostname, error: messageOf(error) });
  }

  async #join(near: Deno.Conn): Promise<void> {
    using _near = near;
    if (!await readHead(near)) return;
    let far: Deno.Conn;
    try {
      far = await Deno.connect(this.#server);
    } catch (error) {
      await writeAll(near, encode("HTTP/1.1 502 Bad Gateway\r\n\r\n"));
      throw error;
    }
    using _far = far;
    await writeAll(near, encode("HTTP/1.1 200 OK\r\n\r\n"));
    // When one direction ends, for whatever reason, both connections are closed.
    await Promise.race([copy(near, far), copy(far, near)]);
  }
}

/** Whether a whole request head came. */
async function readHead(connection: Deno.Conn): Promise<boolean> {
  const buffer = new Uint8Array(MAX_HEAD_BYTES);
  let length = 0;
  while (length < buffer.length) {
    const read = await connection.read(buffer.subarray(length));
    if (read === null) return false;
    length += read;
    if (new TextDecoder().decode(buffer.subarray(0, length)).endsWith("\r\n\r\n")) return true;
  }
  return false;
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

async function writeAll(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
}

function encode(text: string): Uint8Array {
  return new TextEncoder().encode(text);
}
