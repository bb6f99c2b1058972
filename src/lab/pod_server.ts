/**
 * What runs in a pod of the lab: answers on every port of the pod with the pod's name.
 *
 * TCP ports speak HTTP/1.1:
 * - `GET /` (and any other path): the name and a newline;
 * - `GET /info`: `{pod, address, port, client: {address, port}}`, the client as the pod sees it;
 * - `GET /bytes?n=N`: N known bytes ({@link payload}), at most {@link MAX_BYTES};
 * - `POST /sha256`: `{bytes, sha256}` of the body.
 *
 * UDP ports answer every datagram with the name and a newline.
 *
 * @module
 */

import { formatSocketAddress, parseAddress } from "../net/address.ts";
import { digest, payloadStream } from "./payload.ts";
import type { Server, ServerPort } from "./topology.ts";
import { messageOf } from "../errors.ts";

/** The most that `/bytes` gives in one answer: 16 GiB. */
export const MAX_BYTES = 2 ** 34;

/** The listening sockets of one pod. */
export class PodServer {
  readonly #stop = new AbortController();
  readonly #finished: Promise<unknown>[] = [];
  readonly #problems: string[] = [];

  private constructor(private readonly server: Server) {}

  /**
   * Opens all listeners in the network namespace that this thread is in *now*; they and the
   * connections that they accept stay there. A port that cannot be opened is a problem of its own
   * and leaves the others serving.
   */
  static start(server: Server): PodServer {
    const started = new PodServer(server);
    const ports = new Map(server.ports.map((port) => [`${port.protocol} ${port.port}`, port]));
    for (const address of server.addresses) {
      for (const port of ports.values()) {
        try {
          started.#listen(address, port);
        } catch (error) {
          const reason = messageOf(error);
          const where = `${port.protocol} ${formatSocketAddress(address, port.port)}`;
          started.#problems.push(`${server.name}: cannot serve ${where}: ${reason}`);
        }
      }
    }
    return started;
  }

  /** Ports that are not served, one line each. */
  get problems(): readonly string[] {
    return this.#problems;
  }

  /** Closes the listeners and every connection. */
  async close(): Promise<void> {
    this.#stop.abort();
    await Promise.allSettled(this.#finished);
  }

  #listen(address: string, { protocol, port }: ServerPort): void {
    switch (protocol) {
      case "TCP":
        return this.#listenTcp(address, port);
      case "UDP":
        return this.#listenUdp(address, port);
      case "SCTP":
        throw new Error("the lab's pods do not speak SCTP");
    }
  }

  #listenTcp(address: string, port: number): void {
    const server = Deno.serve(
      {
        hostname: address,
        port,
        tcpBacklog: 4096,
        signal: this.#stop.signal,
        onListen() {},
      },
      (request, info) => this.#answer(request, { address, port }, info.remoteAddr),
    );
    this.#finished.push(server.finished);
  }

  #answer(
    request: Request,
    own: { address: string; port: number },
    client: Deno.NetAddr,
  ): Response | Promise<Response> {
    const start = request.url.indexOf("/", "http://".length);
    const path = start < 0 ? "/" : request.url.slice(start);
    if (path === "/info") {
      const from = parseAddress(client.hostname) ?? client.hostname;
      return Response.json({
        pod: this.server.hostname,
        ...own,
        client: { address: from, port: client.port },
      });
    }
    if (path.startsWith("/bytes?")) return bytes(new URLSearchParams(path.slice(7)).get("n"));
    if (path === "/sha256" && request.method === "POST") {
      return digest(request.body).then((result) => Response.json(result));
    }
    return new Response(`${this.server.hostname}\n`);
  }

  #listenUdp(address: string, port: number): void {
    const socket = Deno.listenDatagram({ transport: "udp", hostname: address, port });
    this.#stop.signal.addEventListener("abort", () => socket.close(), { once: true });
    const name = new TextEncoder().encode(`${this.server.hostname}\n`);
    const serve = async () => {
      for await (const [, from] of socket) {
        // An answer that cannot be sent (no route back, say) is lost, as datagrams may be.
        await socket.send(name, from).catch(() => {});
      }
    };
    this.#finished.push(serve());
  }
}

function bytes(count: string | null): Response {
  const n = Number(count);
  if (count === null || !/^[0-9]+$/.test(count) || n > MAX_BYTES) {
    return new Response(`n is a number of bytes, at most ${MAX_BYTES}\n`, { status: 400 });
  }
  return new Response(payloadStream(n), {
    headers: { "content-length": String(n), "content-type": "application/octet-stream" },
  });
}
