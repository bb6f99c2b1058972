/**
 * An engine with connections in it, and batches of packets for it.
 *
 * @module
 */

import type { Protocol } from "../../src/cluster/objects.ts";
import { EngineFlag, PacketVerdict, SlotRecord } from "../../src/engine/abi.ts";
import { type Capacity, instantiate } from "../../src/engine/module.ts";
import { Scratch } from "../../src/engine/scratch.ts";
import { PlanTables } from "../../src/engine/tables.ts";
import type { Family } from "../../src/net/address.ts";
import {
  BACKENDS,
  CLIENT_NETWORK,
  clusterPlan,
  nodePlace,
  place,
  SERVICE_NETWORK,
  SERVICE_PORT,
  SERVICES,
} from "./cluster.ts";
import type { BenchExports } from "./module.ts";
import { ACK, type End, FIN, PacketWriter, RST, SYN } from "./packets.ts";

/** Packets that are handled in one call. */
export const BATCH = 256;
/** Bytes of a slot: no packet of the benchmark is longer. */
const SLOT = 128;
/** Ports that a client uses. */
const PORTS_PER_CLIENT = 16;
/** As in userspace mode. */
export const FLAGS = EngineFlag.MasqueradeAlways | EngineFlag.RetryBackends;
export const MASQUERADE_PORTS = { first: 61000, last: 65534 };

/** SYNs that can be sent again. */
export const KEPT_SYNS = 4096;

const SEED = 20_260_101n;

/** Words of a slot's record, the first of which is the verdict. */
export const WORDS = SlotRecord.Size / 4;

/** Whoever can handle the packets in the slots. */
export type Process = (first: number, count: number, nowMs: number) => void;

/** The client dials the service; the node, as masqueraded, the backend. */
export type FlowEnds = Readonly<Record<"client" | "service" | "node" | "backend", End>>;

/** The engine of the benchmark. */
export class Rig {
  readonly exports: BenchExports;
  readonly memory: WebAssembly.Memory;
  readonly family: Family;
  readonly protocol: Protocol;
  /** Who handles what is not timed; the engine itself at first. */
  process: Process;
  /** Connections that were opened. */
  size = 0;
  nowMs = 1000;
  readonly #writer: PacketWriter;
  readonly #slots: number;
  readonly #stride: number;
  /** SlotRecords as words. */
  readonly #records: Uint32Array;
  readonly #view: DataView;
  /** What backends see of each connection: their address's host, their port, the source port. */
  readonly #backends: Uint32Array;
  readonly #ports: Uint16Array;
  #window = 1;

  /** @param limit connections that it will have at most. */
  constructor(module: WebAssembly.Module, family: Family, protocol: Protocol, limit: number) {
    this.family = family;
    this.protocol = protocol;
    const { exports, memory } = instantiate(capacityFor(family, limit), module);
    this.exports = exports as BenchExports;
    this.memory = memory;
    this.process = exports.process;
    const { first, last } = MASQUERADE_PORTS;
    exports.start(FLAGS, first, last, SEED, this.nowMs);
    const scratch = new Scratch(memory.buffer, exports.scratchAt(), exports.scratchSize());
    new PlanTables(this.exports, scratch, null).apply(clusterPlan(family, protocol));
    this.#writer = new PacketWriter(memory.buffer, family, protocol);
    this.#slots = exports.slotsAt();
    this.#stride = exports.slotStrideBytes();
    this.#records = new Uint32Array(memory.buffer, exports.slotRecordsAt(), BATCH * WORDS);
    this.#view = new DataView(memory.buffer);
    this.#backends = new Uint32Array(limit + BATCH);
    this.#ports = new Uint16Array(limit + BATCH);
    for (let slot = 0; slot < BATCH; slot++) {
      this.#records[slot * WORDS + SlotRecord.LengthIn / 4] = this.#writer.length;
    }
  }

  /** A copy of a slot's packet, virtio-net header included. */
  packet(slot: number): Uint8Array {
    const at = this.#slots + slot * this.#stride;
    return new Uint8Array(this.memory.buffer, at, this.#writer.length).slice();
  }

  #client(flow: number): End {
    return {
      ...place(this.family, CLIENT_NETWORK, Math.floor(flow / PORTS_PER_CLIENT)),
      port: 1024 + flow % PORTS_PER_CLIENT,
    };
  }

  #service(flow: number): End {
    return { ...place(this.family, SERVICE_NETWORK, flow % SERVICES), port: SERVICE_PORT };
  }

  #backend(flow: number): End {
    const network = this.family === "IPv4" ? 0 : 0xfd000160;
    return { network, host: this.#backends[flow], port: 8080 };
  }

  #node(flow: number): End {
    return { ...nodePlace(this.family), port: this.#ports[flow] };
  }

  /** All ends of a flow; those of its backend's side as {@link learn} found them. */
  ends(flow: number): FlowEnds {
    return {
      client: this.#client(flow),
      service: this.#service(flow),
      node: this.#node(flow),
      backend: this.#backend(flow),
    };
  }

  #write(slot: number, flow: number, reply: boolean, flags: number, seq: number, ack: number) {
    const from = reply ? this.#backend(flow) : this.#client(flow);
    const to = reply ? this.#node(flow) : this.#service(flow);
    const at = this.#slots + slot * this.#stride;
    this.#writer.write(at, from, to, flags, seq, ack, this.#window);
  }

  /** Puts one packet of each flow into the slots, as far as there are flows. */
  fill(flows: ArrayLike<number>, kind: Kind): void {
    // Never the same ACK again, which would count as a retransmission.
    this.#window = this.#window % 60_000 + 1;
    const { reply, flags, seq, ack } = KINDS[kind];
    for (let slot = 0; slot < flows.length; slot++) {
      this.#write(slot, flows[slot], reply, flags, seq, ack);
    }
  }

  /** Remembers what the backends see of flows whose first packets have just been handled. */
  learn(flows: ArrayLike<number>): void {
    const transport = 12 + (this.family === "IPv4" ? 20 : 40);
    for (let slot = 0; slot < flows.length; slot++) {
      const at = this.#slots + slot * this.#stride;
      this.#backends[flows[slot]] = this.#view.getUint32(at + transport - 4);
      this.#ports[flows[slot]] = this.#view.getUint16(at + transport);
    }
  }

  /** Hands over what {@link fill} has written, and expects it to be forwarded. */
  run(count: number): void {
    this.process(0, count, this.nowMs);
    this.check(count);
  }

  /** Throws when a packet of the last batch was not forwarded. */
  check(count: number): void {
    for (let slot = 0; slot < count; slot++) {
      const verdict = this.#records[slot * WORDS];
      if (verdict === PacketVerdict.Forward) continue;
      throw new Error(`packet ${slot} of a batch got verdict ${verdict}`);
    }
  }

  /** Opens connections until there are `size`. */
  grow(size: number): void {
    while (this.size < size) {
      const count = Math.min(BATCH, size - this.size);
      this.establish(Uint32Array.from({ length: count }, (_, i) => this.size + i));
      this.size += count;
    }
  }

  /** Opens the connections of flows, to the state that they have when data flows. */
  establish(flows: Uint32Array): void {
    this.fill(flows, "open");
    this.run(flows.length);
    this.learn(flows);
    this.fill(flows, "answer");
    this.run(flows.length);
    this.fill(flows, "data");
    this.run(flows.length);
  }
}

/** What a packet does in its connection. */
export type Kind =
  | "open"
  | "answer"
  | "data"
  | "dataBack"
  | "finish"
  | "finishBack"
  | "last"
  | "abort";

/** TCP's fields by what a packet does; the payload of 20 bytes counts in every segment. */
const KINDS: Readonly<
  Record<Kind, { reply: boolean; flags: number; seq: number; ack: number }>
> = {
  open: { reply: false, flags: SYN, seq: 1000, ack: 0 },
  answer: { reply: true, flags: SYN | ACK, seq: 5000, ack: 1021 },
  data: { reply: false, flags: ACK, seq: 1021, ack: 5021 },
  dataBack: { reply: true, flags: ACK, seq: 5021, ack: 1041 },
  finish: { reply: false, flags: FIN | ACK, seq: 1041, ack: 5041 },
  finishBack: { reply: true, flags: FIN | ACK, seq: 5041, ack: 1062 },
  last: { reply: false, flags: ACK, seq: 1062, ack: 5062 },
  abort: { reply: false, flags: RST, seq: 1021, ack: 0 },
};

function capacityFor(family: Family, limit: number): Capacity {
  return {
    slots: BATCH,
    slotSize: SLOT,
    connections: (limit + BATCH) * (family === "IPv4" ? 1 : 2),
    servicePorts: SERVICES,
    frontends: SERVICES,
    backends: SERVICES * BACKENDS,
    affinities: 1,
    keptSyns: KEPT_SYNS,
  };
}
