/**
 * A node with a client and two pods, each in a network namespace of its own, and TCP connections
 * between them that stay open, for tests of ipvs mode inside the virtual machine.
 *
 * @module
 */

import assert from "node:assert/strict";
import { connectToNode } from "../../../src/lab/link.ts";
import { createNamespace, forwardPackets } from "../../../src/lab/machine.ts";
import { check, close, libc, poll, pollSet, read, write } from "../../../src/linux/libc.ts";
import type { NetworkNamespace } from "../../../src/linux/namespace.ts";
import { TestNode } from "../../dataplane/ipvs/node.ts";
import { accept, type End, tcpConnect, tcpListener } from "./sockets.ts";
import { PATIENCE_MS } from "../../until.ts";

export const NODE_ADDRESS = "192.168.50.10";
export const CLIENTS = ["192.168.50.100", "192.168.50.101"] as const;
export const PODS = ["10.244.0.1", "10.244.0.3"] as const;
/** The port of the pods. */
export const POD_PORT = 8080;

const SOL_SOCKET = 1;
const SO_LINGER = 13;

/** A connection with both its ends. */
export class Connection {
  constructor(
    /** The pod that has it. */
    readonly pod: string,
    readonly client: number,
    readonly server: number,
  ) {}

  /** Sends something to and fro; throws when it does not arrive. */
  exchange(): void {
    for (const [from, to] of [[this.client, this.server], [this.server, this.client]]) {
      const sent = crypto.getRandomValues(new Uint8Array(32));
      assert.equal(check(write(from, sent, sent.length), `send to ${this.pod}`), sent.length);
      assert.equal(poll(pollSet([to]), PATIENCE_MS), 1, `nothing arrives at or from ${this.pod}`);
      const received = new Uint8Array(64);
      const length = check(read(to, received, received.length), `receive from ${this.pod}`);
      assert.deepEqual(received.subarray(0, length), sent);
    }
  }

  /** Ends it at once by a reset, which IPVS forgets after ten seconds, not after two minutes. */
  reset(): void {
    const linger = Int32Array.of(1, 0);
    check(libc().setsockopt(this.client, SOL_SOCKET, SO_LINGER, linger, 8), "set SO_LINGER");
    close(this.client);
    close(this.server);
  }
}

/** The namespaces, and what listens there. */
export class IpvsNetwork implements Disposable {
  readonly node = new TestNode([NODE_ADDRESS]);
  readonly #machines = new Map<string, NetworkNamespace>();
  readonly #listeners = new Map<string, number>();
  #port = 20_000;

  constructor() {
    this.node.namespace.run(forwardPackets);
    for (const [index, address] of [...CLIENTS, ...PODS].entries()) {
      const machine = createNamespace();
      this.#machines.set(address, machine);
      connectToNode({
        node: this.node.namespace,
        machine,
        linkName: `machine${index}`,
        addresses: [address],
        nodeAddresses: [],
        primary: [NODE_ADDRESS],
        families: ["IPv4"],
      });
    }
    for (const address of PODS) {
      const pod = this.#machines.get(address)!;
      this.#listeners.set(address, pod.run(() => tcpListener({ address, port: POD_PORT })));
    }
  }

  /** Runs a synchronous function where an address is. */
  at<T>(address: string, fn: () => T): T {
    const machine = this.#machines.get(address) ?? this.node.namespace;
    return machine.run(fn);
  }

  /** Opens a connection, or gives null when it is not answered at once. */
  connect(target: End, client: string = CLIENTS[0]): Connection | null {
    const machine = this.#machines.get(client)!;
    const local = { address: client, port: this.#port++ };
    const fd = machine.run(() => tcpConnect(local, target));
    if (fd === null) return null;
    for (const [pod, listener] of this.#listeners) {
      const server = accept(listener);
      if (server !== null) return new Connection(pod, fd, server);
    }
    throw new Error("a connection arrived nowhere");
  }

  /** The pod that answers a connection, which ends then, or null. */
  dial(target: End, client?: string): string | null {
    const connection = this.connect(target, client);
    connection?.reset();
    return connection?.pod ?? null;
  }

  [Symbol.dispose](): void {
    for (const listener of this.#listeners.values()) close(listener);
    this.node[Symbol.dispose]();
    for (const machine of this.#machines.values()) machine.close();
  }
}
