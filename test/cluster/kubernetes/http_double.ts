/**
 * A small HTTP/1.1 server with its hands on the connection: a response body that errors closes it in
 * the middle, without the end that HTTP prescribes, and one that never ends leaves it open.
 */

export type Handler = (request: Request) => Promise<Response>;

export interface HttpDoubleOptions {
  readonly port?: number;
  readonly tls?: { readonly cert: string; readonly key: string };
}

export class HttpDouble {
  readonly #listener: Deno.TcpListener | Deno.TlsListener;
  readonly #handler: Handler;
  readonly #connections = new Set<Deno.Conn>();
  readonly #served: Promise<void>;

  constructor(handler: Handler, { port = 0, tls }: HttpDoubleOptions) {
    this.#handler = handler;
    const address = { hostname: "127.0.0.1", port };
    this.#listener = tls === undefined
      ? Deno.listen(address)
      : Deno.listenTls({ ...address, ...tls, alpnProtocols: ["http/1.1"] });
    this.#served = this.#serve();
  }

  get port(): number {
    return (this.#listener.addr as Deno.NetAddr).port;
  }

  get connections(): number {
    return this.#connections.size;
  }

  /** Closes everything; resolves when nothing runs any more. */
  async close(): Promise<void> {
    this.#listener.close();
    for (const connection of this.#connections) close(connection);
    await this.#served;
  }

  async #serve(): Promise<void> {
    const running: Promise<void>[] = [];
    while (true) {
      let connection: Deno.TcpConn | Deno.TlsConn;
      try {
        connection = await this.#listener.accept();
      } catch (error) {
        if (error instanceof Deno.errors.BadResource) break;
        // A TLS handshake that a client gave up.
        continue;
      }
      // An answer in several writes must not wait for acknowledgements.
      if ("setNoDelay" in connection) connection.setNoDelay();
      this.#connections.add(connection);
      running.push(
        this.#converse(connection).finally(() => {
          this.#connections.delete(connection);
          close(connection);
        }),
      );
    }
    await Promise.all(running);
  }

  async #converse(connection: Deno.Conn): Promise<void> {
    let head = await readHead(connection);
    while (head !== null) {
      const response = await this.#handler(head);
      const body = response.body?.getReader();
      // Nothing more comes before the answer is out, unless the client goes away.
      const next = readHead(connection);
      const gone = next.then((request) => request === null ? body?.cancel() : undefined);
      try {
        await write(connection, headOf(response));
        while (body !== undefined) {
          const { done, value } = await body.read();
          if (done) break;
          await write(connection, frame(value));
        }
        await write(connection, new TextEncoder().encode("0\r\n\r\n"));
      } catch {
        // Broken, by this end or the other.
        close(connection);
        await body?.cancel().catch(() => {});
      }
      head = await next;
      await gone.catch(() => {});
    }
  }
}

function close(connection: Deno.Conn): void {
  try {
    connection.close();
  } catch (error) {
    if (!(error instanceof Deno.errors.BadResource)) throw error;
  }
}

/** A request, with its body if its length is told; null when the connection ends. */
async function readHead(connection: Deno.Conn): Promise<Request | null> {
  let received = new Uint8Array();
  const buffer = new Uint8Array(16_384);
  const more = async () => {
    const length = await connection.read(buffer).catch(() => null);
    if (length === null) return false;
    received = new Uint8Array([...received, ...buffer.subarray(0, length)]);
    return true;
  };
  let end: number;
  while ((end = latin1.decode(received).indexOf("\r\n\r\n")) < 0) if (!await more()) return null;
  const [first, ...lines] = latin1.decode(received.subarray(0, end)).split("\r\n");
  const headers = new Headers(lines.map((line): [string, string] => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon), line.slice(colon + 1).trim()];
  }));
  const [method, target] = first.split(" ");
  const url = `http://double${target}`;
  const bodyLength = Number(headers.get("content-length") ?? 0);
  if (bodyLength === 0) return new Request(url, { method, headers });
  while (received.length < end + 4 + bodyLength) if (!await more()) return null;
  const body = received.slice(end + 4, end + 4 + bodyLength);
  return new Request(url, { method, headers, body });
}

const latin1 = new TextDecoder("latin1");

function headOf(response: Response): Uint8Array {
  const lines = [...response.headers].map(([name, value]) => `${name}: ${value}\r\n`).join("");
  return new TextEncoder().encode(
    `HTTP/1.1 ${response.status} Double\r\n${lines}transfer-encoding: chunked\r\n\r\n`,
  );
}

function frame(chunk: Uint8Array): Uint8Array {
  const length = new TextEncoder().encode(`${chunk.length.toString(16)}\r\n`);
  const framed = new Uint8Array(length.length + chunk.length + 2);
  framed.set(length);
  framed.set(chunk, length.length);
  framed.set([13, 10], length.length + chunk.length);
  return framed;
}

async function write(connection: Deno.Conn, bytes: Uint8Array): Promise<void> {
  for (let sent = 0; sent < bytes.length;) sent += await connection.write(bytes.subarray(sent));
}
