/** A forward proxy that knows CONNECT only, and remembers where it was asked to go. */

/** What a proxy wants, or does. */
export interface ProxyOptions {
  /** It speaks TLS. */
  readonly tls?: { readonly cert: string; readonly key: string };
  /** "user:password", without which it refuses. */
  readonly login?: string;
}

export class ConnectProxy implements AsyncDisposable {
  readonly targets: string[] = [];
  readonly #options: ProxyOptions;
  readonly #listener: Deno.Listener;
  readonly #running: Promise<unknown>[];

  constructor(options: ProxyOptions = {}) {
    this.#options = options;
    const where = { hostname: "127.0.0.1", port: 0 };
    this.#listener = options.tls === undefined
      ? Deno.listen(where)
      : Deno.listenTls({ ...where, ...options.tls });
    this.#running = [this.#serve()];
  }

  /** Without the login. */
  get url(): string {
    const scheme = this.#options.tls === undefined ? "http" : "https";
    return `${scheme}://127.0.0.1:${(this.#listener.addr as Deno.NetAddr).port}`;
  }

  async #serve(): Promise<void> {
    for await (const connection of this.#listener) this.#running.push(this.#connect(connection));
  }

  async #connect(connection: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(4096);
    const length = await connection.read(buffer) ?? 0;
    const head = new TextDecoder().decode(buffer.subarray(0, length));
    const target = /^CONNECT (\S+) /.exec(head)?.[1] ?? "";
    const answer = (status: string) =>
      connection.write(new TextEncoder().encode(`HTTP/1.1 ${status}\r\n\r\n`));
    const { login } = this.#options;
    const given = /^proxy-authorization: Basic (\S+)\r$/mi.exec(head)?.[1];
    if (login !== undefined && given !== btoa(login)) {
      await answer("407 Proxy Authentication Required");
      connection.close();
      return;
    }
    this.targets.push(target);
    const [hostname, port] = target.split(":");
    const onward = await Deno.connect({ hostname, port: Number(port) });
    await answer("200 OK");
    await join(connection, onward);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await Promise.all(this.#running);
  }
}

/** Resolves when both directions have ended. */
export async function join(near: Deno.Conn, far: Deno.Conn): Promise<void> {
  await Promise.allSettled([
    near.readable.pipeTo(far.writable),
    far.readable.pipeTo(near.writable),
  ]);
}
