/**
 * The schedulers of one or several nodes over the same backends: an engine without packets, which
 * has a Service port for every node. Nodes know only their own connections, as in a cluster.
 *
 * @module
 */

import {
  EngineFlag,
  familyNumber,
  PoolChange,
  PoolKind,
  PoolRecord,
  QueryRecord,
  SCHEDULER_FLAGS,
  SCHEDULERS,
} from "../engine/abi.ts";
import { type EngineExports, instantiate } from "../engine/module.ts";
import { Scratch } from "../engine/scratch.ts";
import { addressBytes, familyOf } from "../net/address.ts";
import type { SchedulerFlagName, SchedulerName } from "../plan/plan.ts";

/** Where connections can go. */
export interface Endpoint {
  readonly address: string;
  readonly port: number;
}

/** How the nodes schedule. */
export interface SchedulingOptions {
  readonly scheduler: SchedulerName;
  readonly flags?: readonly SchedulerFlagName[];
  /** Nodes, each on its own (default 1). */
  readonly nodes?: number;
  /** Decides all that is random. */
  readonly seed: bigint;
  /** As in the engine's options. */
  readonly overhead?: "all" | "inactive";
}

/** The address that clients dial. */
const VIRTUAL_ADDRESS = { IPv4: "10.96.0.1", IPv6: "fd00:96::1" } as const;
const VIRTUAL_PORT = 80;
/** Clients' addresses follow each other from here on. */
const FIRST_CLIENT = { IPv4: "10.128.0.0", IPv6: "fd00:128::" } as const;

/** Nodes over backends, which are numbered from 0 in the order in which they were given. */
export class NodeSchedulers {
  readonly #engine: EngineExports;
  readonly #scratch: Scratch;
  readonly #endpoints: number;
  /** Service port of each node, and the id of its first backend; the others follow. */
  readonly #ports: readonly number[];
  readonly #firstIds: readonly number[];
  /** The last four bytes of client 0's address. */
  readonly #firstClient: number;

  /**
   * @param endpoints all that there will ever be, of one IP family; none of them takes connections
   *   until {@link setWeights}.
   */
  constructor(endpoints: readonly Endpoint[], options: SchedulingOptions) {
    const nodes = options.nodes ?? 1;
    const { exports, memory } = instantiate({
      slots: 1,
      slotSize: 2048,
      connections: 1,
      // The room for tables goes by Service ports: mh needs that of three.
      servicePorts: nodes * 4 + 4,
      frontends: 1,
      backends: nodes * endpoints.length,
      affinities: 1,
      keptSyns: 1,
    });
    const flags = options.overhead === "inactive" ? EngineFlag.InactiveOverhead : 0;
    exports.start(flags, 0, 0, BigInt.asIntN(64, options.seed), 0);
    this.#engine = exports;
    this.#scratch = new Scratch(memory.buffer, exports.scratchAt(), exports.scratchSize());
    this.#endpoints = endpoints.length;
    this.#ports = Array.from({ length: nodes }, () => this.#addNode(options));
    this.#firstIds = this.#ports.map((port) => this.#addBackends(port, endpoints));
    const family = familyOf(endpoints[0]?.address ?? "0.0.0.0");
    const client = addressBytes(FIRST_CLIENT[family]);
    this.#firstClient = new DataView(client.buffer).getUint32(client.length - 4);
    this.#scratch.clear(0, QueryRecord.Size);
    this.#scratch.writeAddress(QueryRecord.Source, FIRST_CLIENT[family]);
    this.#scratch.writeAddress(QueryRecord.Dest, VIRTUAL_ADDRESS[family]);
    this.#scratch.view.setUint16(QueryRecord.Port, VIRTUAL_PORT, true);
  }

  #addNode({ scheduler, flags = [] }: SchedulingOptions): number {
    const id = this.#engine.servicePortAdd();
    const bits = flags.reduce((sum, name) => sum | SCHEDULER_FLAGS[name], 0);
    this.#engine.servicePortUpdate(id, SCHEDULERS[scheduler], bits, 0);
    return id;
  }

  #addBackends(servicePort: number, endpoints: readonly Endpoint[]): number {
    const ids = endpoints.map(({ address, port }) => {
      this.#scratch.writeAddress(0, address);
      return this.#engine.backendAdd(servicePort, port, familyNumber(familyOf(address)));
    });
    return ids[0] ?? 0;
  }

  /** Gives all nodes the list of backends: weights by backend, null for those that are not in it. */
  setWeights(weights: readonly (number | null)[]): void {
    const query = this.#scratch.bytes.slice(0, QueryRecord.Size);
    for (const [node, port] of this.#ports.entries()) {
      let count = 0;
      // Backwards: the engine puts what is new at the head of the list.
      for (let backend = weights.length - 1; backend >= 0; backend--) {
        const weight = weights[backend];
        if (weight === null) continue;
        const at = count++ * PoolRecord.Size;
        this.#scratch.view.setUint32(at + PoolRecord.Backend, this.#firstIds[node] + backend, true);
        this.#scratch.view.setUint32(at + PoolRecord.Weight, weight, true);
      }
      const change: PoolChange = this.#engine.poolSet(port, PoolKind.Cluster, count);
      if (change !== PoolChange.Done) {
        throw new RangeError(`${count} backends on ${this.#ports.length} nodes are too many`);
      }
    }
    this.#scratch.bytes.set(query);
  }

  /**
   * The backend that a node gives a client's new connection, or -1 when nobody takes it.
   *
   * @param client number of the client, from 0, which is its address.
   */
  pick(node: number, client: number, sourcePort: number, nowMs: number): number {
    const { view } = this.#scratch;
    view.setUint32(QueryRecord.Source + 12, this.#firstClient + client);
    view.setUint16(QueryRecord.SourcePort, sourcePort, true);
    const id = this.#engine.schedule(this.#ports[node], PoolKind.Cluster, nowMs);
    return id === 0 ? -1 : id - this.#firstIds[node];
  }

  /** Counts a new connection of a node to a backend: it is active. */
  opened(node: number, backend: number): void {
    this.#engine.burden(this.#firstIds[node] + backend, 1, 1);
  }

  /** Counts an active connection as inactive: it has ended, and its entry stays for a while. */
  closed(node: number, backend: number): void {
    this.#engine.burden(this.#firstIds[node] + backend, -1, 0);
  }

  /** Counts an inactive connection no more. */
  forgotten(node: number, backend: number): void {
    this.#engine.burden(this.#firstIds[node] + backend, 0, -1);
  }

  /** How many backends there are, whether in the list or not. */
  get backends(): number {
    return this.#endpoints;
  }
}
