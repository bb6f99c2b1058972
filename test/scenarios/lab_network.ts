/**
 * The network of a scenario in a lab: its node, a server for every endpoint, and whoever else dials.
 *
 * @module
 */

import assert from "node:assert/strict";
import { type EndpointSlice, objectKey, type Protocol } from "../../src/cluster/objects.ts";
import type { ClusterChange } from "../../src/cluster/source.ts";
import { Lab } from "../../src/lab/lab.ts";
import type { Outcome, ProbeOptions } from "../../src/lab/probe.ts";
import { CLIENT, NODE, type Server, serversFor, STRANGER } from "../../src/lab/topology.ts";
import type { Configuration, Flow } from "./format.ts";

/** A lab that follows a scenario. */
export class LabNetwork {
  readonly #lab: Lab;
  readonly #nodeAddresses: readonly string[];
  readonly #slices = new Map<string, EndpointSlice>();
  #servers: Server[] = [];

  private constructor(lab: Lab, nodeAddresses: readonly string[]) {
    this.#lab = lab;
    this.#nodeAddresses = nodeAddresses;
  }

  static async start({ node: name, nodeAddresses }: Configuration): Promise<LabNetwork> {
    const lab = await Lab.start({ node: { name, addresses: nodeAddresses } });
    return new LabNetwork(lab, nodeAddresses);
  }

  get nodeNamespaceFd(): number {
    return this.#lab.nodeNamespaceFd;
  }

  isNode(address: string): boolean {
    return this.#nodeAddresses.includes(address);
  }

  /**
   * Brings the servers to the endpoints that are there after the changes. Every server answers with
   * its address, which is what scenarios speak of. The lab's do not speak SCTP.
   */
  async apply(changes: readonly ClusterChange[]): Promise<void> {
    for (const { action, object } of changes) {
      if (object.kind !== "EndpointSlice") continue;
      if (action === "apply") this.#slices.set(objectKey(object), object);
      else this.#slices.delete(objectKey(object));
    }
    this.#servers = serversFor([], this.#slices.values()).flatMap((server) =>
      server.addresses.map((address) => ({
        ...server,
        name: address,
        hostname: address,
        ports: server.ports.filter((port) => port.protocol !== "SCTP"),
      }))
    );
    assert.deepEqual(await this.#lab.setServers(this.#servers), []);
  }

  /** Forgets what the scenario has; its servers stay until the next one says what it has. */
  forget(): void {
    this.#slices.clear();
  }

  /** Asks from where a flow begins; a machine that only dials is added where there is none. */
  async probe({ from, to }: Pick<Flow, "from" | "to">, options: ProbeOptions): Promise<Outcome[]> {
    return await this.#lab.probe(await this.#machine(from), to, options);
  }

  /** The ports that the server at an address serves. */
  portsOf(address: string, protocol: Protocol): number[] {
    const server = this.#servers.find((server) => server.addresses.includes(address));
    const ports = server?.ports.filter((own) => own.protocol === protocol) ?? [];
    return [...new Set(ports.map(({ port }) => port))];
  }

  async stop(): Promise<void> {
    await this.#lab.stop();
  }

  async #machine(address: string): Promise<string> {
    if (this.isNode(address)) return NODE;
    for (const client of [CLIENT, STRANGER]) {
      if (client.addresses.includes(address)) return client.name;
    }
    if (!this.#servers.some((server) => server.addresses.includes(address))) {
      this.#servers.push({ name: address, hostname: address, addresses: [address], ports: [] });
      assert.deepEqual(await this.#lab.setServers(this.#servers), []);
    }
    return address;
  }
}
