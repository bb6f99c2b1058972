/**
 * A node with a client outside the cluster and two servers, each in a network namespace of its own,
 * and traffic between them in one IP family. Addresses are given as of IPv4: see families.ts.
 *
 * @module
 */

import { connectToNode, type Link } from "../../../src/lab/link.ts";
import { createNamespace, forwardPackets } from "../../../src/lab/machine.ts";
import type { NetworkNamespace } from "../../../src/linux/namespace.ts";
import type { Family } from "../../../src/net/address.ts";
import { connectWorker, type Remote } from "../../../src/rpc/worker_rpc.ts";
import { textIn } from "./families.ts";
import { SERVER_PORT } from "./objects.ts";
import type { Traffic, TrafficMethods } from "./traffic_worker.ts";

/** The node's address. */
export const NODE_ADDRESS = "192.168.50.10";
/** The servers' addresses; each server answers with its own. */
export const SERVERS = ["10.180.0.1", "10.180.0.2"] as const;

const CLIENT_ADDRESS = "192.168.50.100";

/** The namespaces of one test. */
export class TestNetwork implements AsyncDisposable {
  readonly node = createNamespace();
  readonly #namespaces: NetworkNamespace[] = [this.node];
  readonly #links: Link[] = [];
  readonly #servers: { close(): void }[] = [];
  readonly #worker: Worker;
  /** Dials from the client's namespace. */
  readonly client: Client;

  private constructor(readonly family: Family) {
    this.node.run(forwardPackets);
    const client = this.#connect("eth0", CLIENT_ADDRESS, [NODE_ADDRESS]);
    SERVERS.forEach((address, index) => {
      const machine = this.#connect(`pod${index}`, address, []);
      machine.run(() => this.#serve(address));
    });
    this.#worker = new Worker(new URL("traffic_worker.ts", import.meta.url), { type: "module" });
    this.client = new Client(family, connectWorker<TrafficMethods>(this.#worker));
    this.#clientFd = client.fd;
  }

  readonly #clientFd: number;

  static async start(family: Family): Promise<TestNetwork> {
    const network = new TestNetwork(family);
    await network.client.enter(network.#clientFd);
    return network;
  }

  #connect(linkName: string, address: string, nodeAddresses: readonly string[]): NetworkNamespace {
    const machine = createNamespace();
    this.#namespaces.push(machine);
    this.#links.push(connectToNode({
      node: this.node,
      machine,
      linkName,
      addresses: [textIn(this.family, address)],
      nodeAddresses: nodeAddresses.map((own) => textIn(this.family, own)),
      primary: [textIn(this.family, NODE_ADDRESS)],
      families: [this.family],
    }));
    return machine;
  }

  /** TCP and UDP servers that answer with their address. */
  #serve(address: string): void {
    const answer = new TextEncoder().encode(address);
    const hostname = textIn(this.family, address);
    const tcp = Deno.listen({ hostname, port: SERVER_PORT });
    const udp = Deno.listenDatagram({ transport: "udp", hostname, port: SERVER_PORT });
    this.#servers.push(tcp, udp);
    (async () => {
      for await (const connection of tcp) {
        await connection.write(answer).catch(() => {});
        connection.close();
      }
    })();
    (async () => {
      for await (const [, peer] of udp) await udp.send(answer, peer).catch(() => {});
    })();
  }

  [Symbol.asyncDispose](): Promise<void> {
    this.#worker.terminate();
    for (const server of this.#servers) server.close();
    for (const link of this.#links) link.disconnect();
    for (const namespace of this.#namespaces) namespace.close();
    return Promise.resolve();
  }
}

/** Who dials. */
class Client {
  readonly #family: Family;
  readonly #remote: Remote<TrafficMethods>;

  constructor(family: Family, remote: Remote<TrafficMethods>) {
    this.#family = family;
    this.#remote = remote;
  }

  /** Comes before every other call. */
  enter(fd: number): Promise<void> {
    return this.#remote.enter(fd);
  }

  /** One TCP connection; the answer. */
  dial(address: string, port: number): Promise<string> {
    return this.#remote.dial(textIn(this.#family, address), port);
  }

  /** Begins to make one TCP connection after the other. */
  begin(address: string, port: number): Promise<void> {
    return this.#remote.begin(textIn(this.#family, address), port);
  }

  /** How many of them were answered until then. */
  answered(): Promise<number> {
    return this.#remote.answered();
  }

  /** Ends them. */
  end(): Promise<Traffic> {
    return this.#remote.end();
  }

  /** Sends a datagram from a local port, always the same socket, and gives the answer or null. */
  ask(localPort: number, address: string, port: number): Promise<string | null> {
    return this.#remote.ask(localPort, textIn(this.#family, address), port);
  }
}
