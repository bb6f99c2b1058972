/**
 * What one would write without thinking of speed: the packet path in plain TypeScript over a
 * Map from text to objects. It does for the benchmark's packets what the engine does: both
 * directions, TCP states and timeouts, masquerade, round robin, counters, checksums.
 *
 * @module
 */

import type { Protocol } from "../../src/cluster/objects.ts";
import { PacketVerdict } from "../../src/engine/abi.ts";
import { formatAddress } from "../../src/net/address.ts";
import type { PlanChange } from "../../src/plan/plan.ts";
import { MASQUERADE_PORTS, type Process, type Rig, WORDS } from "./rig.ts";

interface Backend {
  readonly address: string;
  readonly port: number;
  packets: number;
  bytes: number;
  connections: number;
}

interface Service {
  readonly backends: readonly Backend[];
  cursor: number;
}

interface Tuple {
  readonly source: string;
  readonly sourcePort: number;
  readonly dest: string;
  readonly port: number;
}

interface Connection {
  readonly original: Tuple;
  readonly reply: Tuple;
  readonly backend: Backend;
  state: State;
  answered: boolean;
  expiresAt: number;
}

type State =
  | "SYN_SENT"
  | "SYN_RECV"
  | "ESTABLISHED"
  | "FIN_WAIT"
  | "LAST_ACK"
  | "TIME_WAIT"
  | "UDP";

const TIMEOUTS: Readonly<Record<State, number>> = {
  SYN_SENT: 120_000,
  SYN_RECV: 60_000,
  ESTABLISHED: 432_000_000,
  FIN_WAIT: 120_000,
  LAST_ACK: 30_000,
  TIME_WAIT: 120_000,
  UDP: 30_000,
};

const FIN = 1, SYN = 2, RST = 4;
const VNET = 12;

function keyOf({ source, sourcePort, dest, port }: Tuple, protocol: Protocol): string {
  return `${protocol} ${source}:${sourcePort} > ${dest}:${port}`;
}

/** An engine that handles the packets in a rig's slots. */
export class MapEngine {
  readonly #connections = new Map<string, Connection>();
  readonly #services = new Map<string, Service>();
  readonly #bytes: Uint8Array;
  readonly #view: DataView;
  readonly #slots: number;
  readonly #stride: number;
  readonly #records: Uint32Array;
  readonly #masquerade: string;

  constructor({ exports, memory, family }: Rig, plan: PlanChange) {
    this.#bytes = new Uint8Array(memory.buffer);
    this.#view = new DataView(memory.buffer);
    this.#slots = exports.slotsAt();
    this.#stride = exports.slotStrideBytes();
    this.#records = new Uint32Array(memory.buffer, exports.slotRecordsAt());
    this.#masquerade = plan.node!.addresses[family === "IPv4" ? 0 : 1];
    for (const { ports } of plan.updated) {
      for (const { protocol, cluster, frontends } of ports) {
        const backends = cluster.map(({ address, port }) => ({
          address,
          port,
          packets: 0,
          bytes: 0,
          connections: 0,
        }));
        for (const { address, port } of frontends) {
          this.#services.set(`${protocol} ${address}:${port}`, { backends, cursor: 0 });
        }
      }
    }
  }

  /** As the engine's. */
  readonly process: Process = (first, count, nowMs) => {
    for (let slot = first; slot < first + count; slot++) {
      const verdict = this.#handle(this.#slots + slot * this.#stride + VNET, nowMs);
      this.#records[slot * WORDS] = verdict;
    }
  };

  #handle(at: number, nowMs: number): PacketVerdict {
    const view = this.#view;
    const v4 = view.getUint8(at) >> 4 === 4;
    const header = v4 ? (view.getUint8(at) & 15) * 4 : 40;
    if (v4 && this.#sum(at, header) !== 0xffff) return PacketVerdict.Drop;
    const number = view.getUint8(at + (v4 ? 9 : 6));
    if (number !== 6 && number !== 17) return PacketVerdict.Pass;
    const protocol = number === 6 ? "TCP" : "UDP";
    const length = v4 ? view.getUint16(at + 2) : view.getUint16(at + 4) + 40;
    const transport = at + header;
    const flags = number === 6 ? view.getUint8(transport + 13) : 0;
    const size = v4 ? 4 : 16;
    const addresses = at + (v4 ? 12 : 8);
    const tuple = {
      source: formatAddress(this.#bytes.subarray(addresses, addresses + size)),
      sourcePort: view.getUint16(transport),
      dest: formatAddress(this.#bytes.subarray(addresses + size, addresses + 2 * size)),
      port: view.getUint16(transport + 2),
    };
    const key = keyOf(tuple, protocol);
    let connection = this.#connections.get(key);
    if (connection !== undefined && connection.expiresAt <= nowMs) {
      this.#remove(connection, protocol);
      connection = undefined;
    }
    connection ??= this.#open(tuple, protocol, flags);
    if (connection === undefined) return PacketVerdict.Drop;
    const reply = connection.original.source !== tuple.source ||
      connection.original.sourcePort !== tuple.sourcePort;
    if (protocol === "TCP") track(connection, flags, reply);
    connection.expiresAt = nowMs + TIMEOUTS[connection.state];
    connection.answered ||= reply;
    connection.backend.packets++;
    connection.backend.bytes += length;
    const other = reply ? connection.original : connection.reply;
    this.#rewrite(at, transport, v4, number, other);
    if (flags & RST && !connection.answered) this.#remove(connection, protocol);
    return PacketVerdict.Forward;
  }

  #open(original: Tuple, protocol: Protocol, flags: number): Connection | undefined {
    const service = this.#services.get(`${protocol} ${original.dest}:${original.port}`);
    if (service === undefined || (protocol === "TCP" && flags !== SYN)) return undefined;
    const backend = service.backends[service.cursor++ % service.backends.length];
    const reply = this.#replyTuple(backend, protocol);
    const state = protocol === "TCP" ? "SYN_SENT" : "UDP";
    const connection: Connection = {
      original,
      reply,
      backend,
      state,
      answered: false,
      expiresAt: 0,
    };
    this.#connections.set(keyOf(original, protocol), connection);
    this.#connections.set(keyOf(reply, protocol), connection);
    backend.connections++;
    return connection;
  }

  #replyTuple({ address, port }: Backend, protocol: Protocol): Tuple {
    const { first, last } = MASQUERADE_PORTS;
    const size = last - first + 1;
    for (let candidate = Math.floor(Math.random() * size);; candidate++) {
      const reply = {
        source: address,
        sourcePort: port,
        dest: this.#masquerade,
        port: first + candidate % size,
      };
      if (!this.#connections.has(keyOf(reply, protocol))) return reply;
    }
  }

  #remove({ original, reply, backend }: Connection, protocol: Protocol): void {
    this.#connections.delete(keyOf(original, protocol));
    this.#connections.delete(keyOf(reply, protocol));
    backend.connections--;
  }

  /** Makes the packet the inverse of a tuple. */
  #rewrite(at: number, transport: number, v4: boolean, protocol: number, to: Tuple): void {
    const view = this.#view;
    const addresses = at + (v4 ? 12 : 8);
    const size = v4 ? 4 : 16;
    const before = this.#sum(addresses, 2 * size);
    const portsBefore = fold(view.getUint16(transport) + view.getUint16(transport + 2));
    this.#writeAddress(addresses, to.dest, v4);
    this.#writeAddress(addresses + size, to.source, v4);
    view.setUint16(transport, to.port);
    view.setUint16(transport + 2, to.sourcePort);
    const change = (~before & 0xffff) + this.#sum(addresses, 2 * size);
    const ports = (~portsBefore & 0xffff) + to.port + to.sourcePort;
    if (v4) this.#update(at + 10, change);
    this.#update(transport + (protocol === 6 ? 16 : 6), change + ports);
  }

  #writeAddress(at: number, address: string, v4: boolean): void {
    if (v4) {
      address.split(".").forEach((part, i) => this.#view.setUint8(at + i, Number(part)));
      return;
    }
    const [head, tail = ""] = address.split("::");
    const front = head.split(":"), back = tail === "" ? [] : tail.split(":");
    const groups = [...front, ...Array(8 - front.length - back.length).fill("0"), ...back];
    groups.forEach((group, i) => this.#view.setUint16(at + 2 * i, parseInt(group, 16)));
  }

  #update(field: number, change: number): void {
    this.#view.setUint16(field, ~fold((~this.#view.getUint16(field) & 0xffff) + change) & 0xffff);
  }

  #sum(at: number, length: number): number {
    let total = 0;
    for (let i = 0; i < length; i += 2) total += this.#view.getUint16(at + i);
    return fold(total);
  }
}

function fold(total: number): number {
  while (total > 0xffff) total = (total & 0xffff) + (total >> 16);
  return total;
}

function track(connection: Connection, flags: number, reply: boolean): void {
  if (flags & SYN) connection.state = reply ? "SYN_RECV" : "SYN_SENT";
  else if (flags & FIN) {
    connection.state = connection.state === "ESTABLISHED" ? "FIN_WAIT" : "LAST_ACK";
  } else if (connection.state === "SYN_RECV") connection.state = "ESTABLISHED";
  else if (connection.state === "LAST_ACK") connection.state = "TIME_WAIT";
}
