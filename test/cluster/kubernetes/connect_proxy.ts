/** A forward proxy that knows CONNECT only, and remembers where it was asked to go. */

export class ConnectProxy implements AsyncDisposable {
  readonly targets: string[] = [];
  readonly #listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  readonly #running: Promise<unknown>[] = [this.#serve()];

  get url(): string {
    return `http://127.0.0.1:${(this.#listener.addr as Deno.NetAddr).port}`;
  }

  async #serve(): Promise<void> {
    for await (const connection of this.#listener) this.#running.push(this.#connect(connection));
  }

  async #connect(connection: Deno.Conn): Promise<void> {
    const buffer = new Uint8Array(4096);
    const length = await connection.read(buffer) ?? 0;
    const head = new TextDecoder().decode(buffer.subarray(0, length));
    const target = /^CONNECT (\S+) /.exec(head)?.[1] ?? "";
    this.targets.push(target);
    const [hostname, port] = target.split(":");
    const onward = await Deno.connect({ hostname, port: Number(port) });
    await connection.write(new TextEncoder().encode("HTTP/1.1 200 OK\r\n\r\n"));
    await Promise.allSettled([
      connection.readable.pipeTo(onward.writable),
      onward.readable.pipeTo(connection.writable),
    ]);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#listener.close();
    await Promise.all(this.#running);
  }
}
