/**
 * One virtual server in an engine, told by servers' numbers: changes of its list and connections that
 * open, close and run out.
 *
 * @module
 */

import assert from "node:assert/strict";
import type { SchedulerFlagName, SchedulerName } from "../../../src/plan/plan.ts";
import type { Family } from "../../../src/net/address.ts";
import { Bench, type ServiceSpec } from "../../engine/harness.ts";
import { ACK, FIN, SYN } from "../../engine/packets.ts";
import type { Flow } from "./model.ts";

const PORT = 80;
const SERVER_PORT = 8080;

/** How a rig is made. */
export interface RigOptions {
  readonly scheduler: SchedulerName;
  readonly flags?: readonly SchedulerFlagName[];
  readonly overhead?: "all" | "inactive";
  readonly family?: Family;
  readonly protocol?: "TCP" | "UDP";
  readonly backends?: number;
  /** Virtual addresses, from number 1. */
  readonly dests?: number;
}

/** A connection that was given a server. */
export interface Connection {
  readonly server: number;
  readonly flow: Flow;
}

/** Weights by server's number. */
export type Weights = ReadonlyMap<number, number>;

export class Rig {
  readonly bench: Bench;
  readonly #options: RigOptions;
  #weights: Weights = new Map();

  constructor(options: RigOptions) {
    this.#options = options;
    this.bench = new Bench([this.#spec()], {
      seed: 7n,
      overhead: options.overhead,
      connections: 4096,
      backends: options.backends ?? 128,
    });
  }

  /** Address of a server. */
  server(number: number): string {
    const [high, low] = [number >> 8, number & 255];
    return this.#isV6 ? `fd00:61::${number.toString(16)}` : `10.61.${high}.${low}`;
  }

  readonly serverPort = SERVER_PORT;

  /** The packet that a client opens a connection with. */
  flow(client: number, sourcePort: number, dest = 1): Flow {
    return this.#isV6
      ? { source: `fd00:50::${client.toString(16)}`, sourcePort, dest: this.#dest(dest) }
      : {
        source: `10.50.${client >> 8}.${client & 255}`,
        sourcePort,
        dest: this.#dest(dest),
      };
  }

  /** Replaces the list; new servers are added by ascending number. */
  change(weights: Weights): void {
    this.#weights = weights;
    this.bench.update(this.#spec());
  }

  get weights(): Weights {
    return this.#weights;
  }

  /** A new connection, established when it is TCP; null when there is no server for it. */
  open(flow: Flow): Connection | null {
    const { protocol = "TCP" } = this.#options;
    const first = this.#send(flow, SYN);
    if (/^(reply|drop: reject_rate)/.test(first.verdict)) return null;
    assert.equal(first.verdict, "forward: new");
    const to = first.route.slice(first.route.indexOf("> ") + 2);
    const server = this.#numberOf(to);
    if (protocol === "TCP") {
      const answer = {
        source: this.server(server),
        sourcePort: SERVER_PORT,
        dest: flow.source,
        port: flow.sourcePort,
        flags: SYN | ACK,
        seq: 5000,
        ack: 1001,
      };
      assert.equal(this.bench.send(answer).verdict, "forward: tracked");
      this.#send(flow, ACK);
    }
    return { server, flow };
  }

  /** The client ends a TCP connection: it is inactive from now on. */
  close({ flow }: Connection): void {
    assert.equal(this.#send(flow, FIN | ACK).verdict, "forward: tracked");
  }

  /** Time passes until nothing is left of connections that are not established. */
  wait(): void {
    this.bench.nowMs += 300_000;
    this.bench.engine.expire(this.bench.nowMs, 100_000);
  }

  get #isV6(): boolean {
    return this.#options.family === "IPv6";
  }

  #dest(number: number): string {
    return this.#isV6 ? `fd00:99::${number.toString(16)}` : `10.99.0.${number}`;
  }

  #numberOf(to: string): number {
    const match = /^(?:10\.61\.(\d+)\.(\d+)|fd00:61::([0-9a-f]+)):8080$/.exec(to);
    assert.ok(match !== null, to);
    return match[3] === undefined
      ? Number(match[1]) * 256 + Number(match[2])
      : parseInt(match[3], 16);
  }

  #send(flow: Flow, flags: number) {
    const { protocol = "TCP" } = this.#options;
    return this.bench.send({
      ...flow,
      port: PORT,
      protocol,
      flags,
      seq: flags === SYN ? 1000 : 1001,
      ack: flags === SYN ? 0 : 5001,
    });
  }

  #spec(): ServiceSpec {
    const { scheduler, flags, dests = 1, protocol } = this.#options;
    const ascending = [...this.#weights].toSorted(([a], [b]) => a - b);
    const place = (number: number) =>
      this.#isV6
        ? `[${this.server(number)}]:${SERVER_PORT}`
        : `${this.server(number)}:${SERVER_PORT}`;
    return {
      protocol,
      scheduler,
      schedulerFlags: flags,
      // The harness wants new servers in list order, which is the plan's reversed.
      backends: ascending.map(([number, weight]) => `${place(number)}*${weight}`).toReversed(),
      frontends: Array.from(
        { length: dests },
        (_, i) => ({ address: this.#dest(i + 1), port: PORT }),
      ),
      route: { action: "forward", to: "cluster", masquerade: false },
    };
  }
}
