/** A SOCKS 5 proxy (RFC 1928) that remembers where it was asked to go. */

import { formatAddress } from "../../../src/net/address.ts";
import { join } from "./connect_proxy.ts";

/** What a proxy wants, or does. */
export interface SocksOptions {
  /** "user:password" (RFC 1929), without which it refuses. */
  readonly login?: string;
  /** It refuses to connect, with this number. */
  readonly reply?: number;
  /** Where it connects to, whatever is asked for. */
  readonly onward: { readonly hostname: string; readonly port: number };
}

export class SocksProxy implements AsyncDisposable {
  readonly targets: string[] = [];
  readonly #options: SocksOptions;
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #running: Promise<unknown>[];

  constructor(options: SocksOptions) {
    this.#options = options;
    this.#running = [this.#serve()];
  }

  /** "127.0.0.1:PORT" */
  get host(): string {
    return `127.0.0.1:${(this.#listener.addr as Deno.NetAddr).port}`;
  }

  async #serve(): Promise<void> {
    for await (const connection of this.#listener) {
      this.#running.push(this.#connect(connection).finally(() => close(connection)));
    }
  }

  async #connect(connection: Deno.Conn): Promise<void> {
    const read = (count: number) => readBytes(connection, count);
    const [, methods] = await read(2);
    const offered = await read(methods);
    const { login, reply = 0, onward } = this.#options;
    const method = login === undefined ? 0 : 2;
    if (!offered.includes(method)) {
      await connection.write(Uint8Array.of(5, 0xff));
      return;
    }
    await connection.write(Uint8Array.of(5, method));
    if (login !== undefined) {
      await read(1);
      const text = async () => new TextDecoder().decode(await read((await read(1))[0]));
      const good = `${await text()}:${await text()}` === login;
      await connection.write(Uint8Array.of(1, good ? 0 : 1));
      if (!good) return;
    }
    const [, , , type] = await read(4);
    const hostname = type === 3
      ? new TextDecoder().decode(await read((await read(1))[0]))
      : formatAddress(await read(type === 1 ? 4 : 16));
    const [high, low] = await read(2);
    this.targets.push(`${hostname} ${high << 8 | low}`);
    // It tells a name as the address that it connects from.
    const name = new TextEncoder().encode("proxy.test");
    await connection.write(Uint8Array.of(5, reply, 0, 3, name.length, ...name, 0, 0));
    if (reply === 0) await join(connection, await Deno.connect(onward));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await Promise.all(this.#running);
  }
}

async function readBytes(connection: Deno.Conn, count: number): Promise<Uint8Array> {
  const bytes = new Uint8Array(count);
  for (let length = 0; length < count;) {
    const read = await connection.read(bytes.subarray(length));
    if (read === null) throw new Error("the client has gone");
    length += read;
  }
  return bytes;
}

function close(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch (error) {
    // Its streams have closed it.
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}
