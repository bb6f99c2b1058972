/**
 * The lab's network: makes the namespaces, links, addresses, routes and servers that
 * {@link ./topology.ts} describes, and takes them away again.
 *
 * Everything is held by descriptors of this process and has no name outside it, so when the process
 * ends, however it ends, the kernel removes all of it.
 *
 * @module
 */

import { NetworkNamespace } from "../linux/namespace.ts";
import type { Family } from "../net/address.ts";
import { familyOf } from "../net/address.ts";
import { makeGateway } from "./gateway.ts";
import { connectToNode, type Link } from "./link.ts";
import { createNamespace, forwardPackets, hasIPv6, moveToNewNamespace } from "./machine.ts";
import { PodServer } from "./pod_server.ts";
import { type Client, diffServers, type LabNode, NODE, type Server } from "./topology.ts";
import { messageOf } from "../errors.ts";

/** A namespace of the lab. */
export interface LabNamespace {
  readonly name: string;
  /** Never used again, unlike names and descriptors. */
  readonly id: number;
  /** The process's descriptor of it; valid in every thread. */
  readonly fd: number;
  readonly addresses: readonly string[];
}

interface Machine {
  readonly id: number;
  readonly namespace: NetworkNamespace;
  readonly addresses: readonly string[];
  /** Its link to the node; null for the node itself and for what is on the node's network. */
  readonly link: Link | null;
}

interface RunningServer {
  readonly server: Server;
  readonly machine: Machine;
  readonly process: PodServer;
}

/** The network with everything in it. Belongs to one thread, which lives in the node's namespace. */
export class Fabric {
  readonly #families: readonly Family[];
  readonly #node: Machine;
  readonly #clients = new Map<string, Machine>();
  readonly #servers = new Map<string, RunningServer>();
  /** Machines made so far. */
  #machines = 0;

  /**
   * Moves this thread to the node for good, and makes the clients. Throws when the kernel refuses a
   * part; what is there then goes with the thread.
   */
  constructor(node: LabNode, clients: readonly Client[]) {
    const namespace = moveToNewNamespace();
    this.#families = hasIPv6() ? ["IPv4", "IPv6"] : ["IPv4"];
    this.#node = {
      id: this.#machines++,
      namespace,
      addresses: this.#usable(node.addresses),
      link: null,
    };
    try {
      namespace.run(forwardPackets);
      for (const client of clients) {
        // The node's addresses are on the link to the first client, as on a machine's network card.
        const own = this.#clients.size === 0 ? this.#node.addresses : [];
        const name = `eth${this.#clients.size}`;
        this.#clients.set(client.name, this.#connect(name, client.addresses, own));
      }
      const [gateway] = this.#clients.values();
      if (gateway !== undefined) {
        makeGateway({
          node: namespace,
          linkName: "eth0",
          primary: this.#primary(),
          machine: gateway.namespace,
          addresses: gateway.addresses,
        });
      }
    } catch (error) {
      this.#closeNamespaces();
      throw error;
    }
  }

  /** Every namespace: the node's first, then the clients', then the servers'. */
  namespaces(): LabNamespace[] {
    const describe = (name: string, { id, namespace, addresses }: Machine) => ({
      name,
      id,
      fd: namespace.fd,
      addresses,
    });
    return [
      describe(NODE, this.#node),
      ...[...this.#clients].map(([name, machine]) => describe(name, machine)),
      ...[...this.#servers].filter(([, { machine }]) => machine !== this.#node)
        .map(([name, { machine }]) => describe(name, machine)),
    ];
  }

  /**
   * Brings the servers to those wanted: the ones that stay are not touched, nor are their
   * connections. What cannot be had is a line in the answer and leaves the rest working. Calls must
   * not overlap.
   */
  async setServers(wanted: readonly Server[]): Promise<string[]> {
    const present = new Map([...this.#servers].map(([name, { server }]) => [name, server]));
    const { remove, add } = diffServers(present, wanted);
    await Promise.all(remove.map((name) => this.#removeServer(name)));
    const problems = add.flatMap((server) => {
      try {
        this.#addServer(server);
        return [];
      } catch (error) {
        return [`${server.name}: ${messageOf(error)}`];
      }
    });
    const unserved = [...this.#servers.values()].flatMap(({ process }) => process.problems);
    return [...problems, ...unserved];
  }

  /** Stops the servers and lets go of every namespace. */
  async close(): Promise<void> {
    await Promise.all([...this.#servers.values()].map(({ process }) => process.close()));
    this.#closeNamespaces();
  }

  #addServer(server: Server): void {
    const addresses = this.#usable(server.addresses);
    if (addresses.length === 0) throw new Error("has no address that this kernel can use");
    const onNode = addresses.every((address) => this.#node.addresses.includes(address));
    const machine = onNode ? this.#node : this.#newMachine(addresses);
    const process = machine.namespace.run(() => PodServer.start({ ...server, addresses }));
    this.#servers.set(server.name, { server, machine, process });
  }

  #newMachine(addresses: readonly string[]): Machine {
    const taken = new Map(
      this.namespaces().flatMap(({ name, addresses: own }) =>
        own.map((address) => [address, name] as const)
      ),
    );
    for (const address of addresses) {
      const holder = taken.get(address);
      if (holder !== undefined) throw new Error(`its address ${address} is already ${holder}'s`);
    }
    return this.#connect(`pod${this.#machines}`, addresses, []);
  }

  async #removeServer(name: string): Promise<void> {
    const running = this.#servers.get(name);
    if (running === undefined) return;
    this.#servers.delete(name);
    // First the sockets, so that peers learn of the end while there is still a way to them.
    await running.process.close();
    running.machine.link?.disconnect();
    if (running.machine !== this.#node) running.machine.namespace.close();
  }

  /** A namespace of its own with a link to the node, whose end of it has this name. */
  #connect(linkName: string, all: readonly string[], nodeAddresses: readonly string[]): Machine {
    const addresses = this.#usable(all);
    const namespace = createNamespace();
    try {
      const link = connectToNode({
        node: this.#node.namespace,
        machine: namespace,
        linkName,
        addresses,
        nodeAddresses,
        primary: this.#primary(),
        families: this.#families,
      });
      return { id: this.#machines++, namespace, addresses, link };
    } catch (error) {
      namespace.close();
      throw error;
    }
  }

  /** The node's first address of each family. */
  #primary(): string[] {
    return this.#families.flatMap((family) =>
      this.#node.addresses.find((address) => familyOf(address) === family) ?? []
    );
  }

  #usable(addresses: readonly string[]): string[] {
    return addresses.filter((address) => this.#families.includes(familyOf(address)));
  }

  #closeNamespaces(): void {
    for (const { machine } of this.#servers.values()) {
      if (machine !== this.#node) machine.namespace.close();
    }
    for (const { namespace } of this.#clients.values()) namespace.close();
    this.#node.namespace.close();
    this.#servers.clear();
    this.#clients.clear();
  }
}
