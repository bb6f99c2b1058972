/**
 * A node with a client outside the cluster and two servers, each in a network namespace of its own,
 * and traffic between them.
 *
 * @module
 */

import { connectToNode, type Link } from "../../../src/lab/link.ts";
import { createNamespace, forwardPackets } from "../../../src/lab/machine.ts";
import type { NetworkNamespace } from "../../../src/linux/namespace.ts";
import { connectWorker, type Remote } from "../../../src/rpc/worker_rpc.ts";
import { SERVER_PORT } from "./objects.ts";
import type { TrafficMethods } from "./traffic_worker.ts";

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
  readonly client: Remote<TrafficMethods>;

  private constructor() {
    this.node.run(forwardPackets);
    const client = this.#connect("eth0", CLIENT_ADDRESS, [NODE_ADDRESS]);
    SERVERS.forEach((address, index) => {
      const machine = this.#connect(`pod${index}`, address, []);
      machine.run(() => this.#serve(address));
    });
    this.#worker = new Worker(new URL("traffic_worker.ts", import.meta.url), { type: "module" });
    this.client = connectWorker<TrafficMethods>(this.#worker);
    this.#clientFd = client.fd;
  }

  readonly #clientFd: number;

  static async start(): Promise<TestNetwork> {
    const network = new TestNetwork();
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
      addresses: [address],
      nodeAddresses,
      primary: [NODE_ADDRESS],
      families: ["IPv4"],
    }));
    return machine;
  }

  /** TCP and UDP servers that answer with their address. */
  #serve(address: string): void {
    const answer = new TextEncoder().encode(address);
    const tcp = Deno.listen({ hostname: address, port: SERVER_PORT });
    const udp = Deno.listenDatagram({ transport: "udp", hostname: address, port: SERVER_PORT });
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
