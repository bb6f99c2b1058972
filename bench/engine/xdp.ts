/**
 * The kernel's XDP beside the engine: a load balancer of our own (bench/native/xdp/) under
 * BPF_PROG_TEST_RUN, filled with the connections that an engine has. It is attached to no interface.
 *
 * What is compared is a packet of an established TCP connection over IPv4: parsed and checked, found by
 * its tuple, the connection's state and the backend's counters moved on, addresses, ports and checksums
 * rewritten. Both get batches of 256 packets of random connections and make the same bytes of them. XDP
 * takes its batch from a map, in a loop, as a test run has only one packet; its time is the kernel's
 * own for the run. So no system call and no driver is part of either figure. What stays unequal: the
 * engine fetches ahead what a batch needs, while XDP finds one packet after the other, as it has to on
 * a wire; and the engine decides by branches what XDP has not: IPv6, other protocols, fragments.
 *
 * @module
 */

import { Buffer } from "node:buffer";
import { type Case, randomFlows } from "./cases.ts";
import { BACKEND_NETWORK, BACKENDS, place, SERVICES } from "./cluster.ts";
import type { Batch } from "./contest.ts";
import { BpfObject } from "./libbpf.ts";
import type { End } from "./packets.ts";
import { BATCH, type Kind, type Rig } from "./rig.ts";

const COMPILER = ["clang", "-O2", "-g", "-target", "bpf", "-mcpu=v3"] as const;

/** As in balancer.bpf.c. */
const SLOT = 128, PADDING = 2, ETHERNET = 14;
const KEY = 16, TRANSLATION = 24, CONNECTION = 32;
const XDP_TX = 3, PROTOCOL_TCP = 6;

const FIRST_BACKEND = place("IPv4", BACKEND_NETWORK, 0).host;

/** Of a slot of the engine. */
const VNET = 12;

/** Connections that are written to the maps at once. */
const STEP = 4096;

/** Connections as {@link Rig.establish} leaves them: marks, times, and what both have sent. */
const ESTABLISHED = Uint32Array.of(1 | 4 | 8, 0, 1041, 5021, 5021, 1021, 1041, 0);

/** What XDP can be measured with. */
const KINDS: Partial<Record<Case, Kind>> = { established: "data", replies: "dataBack" };

/** The balancer, in the kernel, with the first connections of a rig. */
export class XdpBalancer implements Disposable {
  readonly #object: BpfObject;
  readonly #rig: Rig;
  readonly #packets: number;
  readonly #batch: number;
  readonly #single: number;
  /** The batch as it is in the map. */
  readonly #bytes = new Uint8Array(BATCH * SLOT);

  private constructor(object: BpfObject, rig: Rig) {
    this.#object = object;
    this.#rig = rig;
    this.#packets = object.map("packets");
    this.#batch = object.program("balance_batch");
    this.#single = object.program("balance");
  }

  /**
   * Compiles and loads it, and gives it the connections that the rig has. Throws
   * Deno.errors.NotFound without clang or libbpf, Error when the kernel refuses.
   */
  static async create(rig: Rig): Promise<XdpBalancer> {
    const folder = await Deno.makeTempDir();
    try {
      const source = new URL("../native/xdp/balancer.bpf.c", import.meta.url).pathname;
      const [program, ...flags] = COMPILER;
      const file = `${folder}/balancer.o`;
      const { success, stderr } = await new Deno.Command(program, {
        args: [...flags, "-c", "-o", file, source],
        stdout: "null",
        stderr: "piped",
      }).output();
      if (!success) throw new Error(`${program}: ${new TextDecoder().decode(stderr)}`);
      const object = BpfObject.load(file, {
        // Room, so that none of two entries per connection is evicted.
        translations: 4 * Math.max(rig.size, STEP),
        connections: rig.size,
        backends: SERVICES * BACKENDS,
      });
      fill(object, rig);
      return new XdpBalancer(object, rig);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  }

  /** One batch of a case: ms that the kernel took for it. */
  batchOf(name: Case): Batch {
    const kind = KINDS[name];
    if (kind === undefined) throw new RangeError(`XDP has no case ${name}`);
    return () => this.#run(randomFlows(this.#rig.size), kind) / 1e6;
  }

  /** Nanoseconds for a batch. Throws when a packet was not forwarded. */
  #run(flows: Uint32Array, kind: Kind): number {
    this.#rig.fill(flows, kind);
    for (let slot = 0; slot < flows.length; slot++) {
      this.#bytes.set(frameOf(this.#rig, slot), slot * SLOT + PADDING);
    }
    this.#object.setFirst(this.#packets, this.#bytes);
    const { result, nanoseconds } = this.#object.testRun(this.#batch, new Uint8Array(64));
    if (result !== flows.length) {
      throw new Error(`XDP forwarded ${result} of ${flows.length} packets of a batch`);
    }
    return nanoseconds;
  }

  /** Throws when it makes other packets than the engine, in a batch or one by one. */
  assertSame(name: Case): void {
    const rig = this.#rig;
    const flows = randomFlows(rig.size);
    this.#run(flows, KINDS[name]!);
    const frames = flows.keys().map((slot) => frameOf(rig, slot)).toArray();
    rig.run(flows.length);
    const batch = new Uint8Array(this.#bytes.length);
    this.#object.readFirst(this.#packets, batch);
    for (const [slot, frame] of frames.entries()) {
      const wanted = frameOf(rig, slot).subarray(ETHERNET);
      const at = slot * SLOT + PADDING;
      const single = this.#object.testRun(this.#single, frame);
      const same = single.result === XDP_TX &&
        Buffer.compare(batch.subarray(at + ETHERNET, at + frame.length), wanted) === 0 &&
        Buffer.compare(single.frame.subarray(ETHERNET), wanted) === 0;
      if (!same) throw new Error(`XDP and the engine make different packets of packet ${slot}`);
    }
  }

  [Symbol.dispose](): void {
    this.#object[Symbol.dispose]();
  }
}

/** A slot's packet with an Ethernet header. */
function frameOf(rig: Rig, slot: number): Uint8Array<ArrayBuffer> {
  const packet = rig.packet(slot).subarray(VNET);
  const frame = new Uint8Array(ETHERNET + packet.length);
  frame[12] = 0x08;
  frame.set(packet, ETHERNET);
  return frame;
}

/** Writes a rig's connections to the maps. */
function fill(object: BpfObject, rig: Rig): void {
  const [connections, translations] = [object.map("connections"), object.map("translations")];
  const states = new Uint8Array(STEP * CONNECTION);
  for (let i = 0; i < STEP; i++) {
    states.set(new Uint8Array(ESTABLISHED.buffer), i * CONNECTION);
  }
  for (let first = 0; first < rig.size; first += STEP) {
    const flows = Uint32Array.from(
      { length: Math.min(STEP, rig.size - first) },
      (_, i) => first + i,
    );
    object.setMany(connections, new Uint8Array(flows.buffer), states, flows.length);
    const { keys, values } = translationsOf(flows, rig);
    object.setMany(translations, keys, values, 2 * flows.length);
  }
}

/** Entries of the map of translations, two for each flow. */
function translationsOf(flows: Uint32Array, rig: Rig) {
  const keys = new DataView(new ArrayBuffer(2 * flows.length * KEY));
  const values = new DataView(new ArrayBuffer(2 * flows.length * TRANSLATION));
  for (const [index, flow] of flows.entries()) {
    const { client, service, node, backend } = rig.ends(flow);
    const directions = [
      { seen: [client, service], sent: [node, backend] },
      { seen: [backend, node], sent: [service, client] },
    ] as const;
    for (const [direction, { seen, sent }] of directions.entries()) {
      const key = (2 * index + direction) * KEY;
      writeEnds(keys, key, ...seen);
      keys.setUint32(key + 12, PROTOCOL_TCP, true);
      const value = (2 * index + direction) * TRANSLATION;
      writeEnds(values, value, ...sent);
      values.setUint32(value + 12, flow, true);
      values.setUint32(value + 16, direction, true);
      values.setUint32(value + 20, backend.host - FIRST_BACKEND, true);
    }
  }
  return { keys: new Uint8Array(keys.buffer), values: new Uint8Array(values.buffer) };
}

/** Two addresses and their ports, as on the wire. */
function writeEnds(view: DataView, at: number, source: End, dest: End): void {
  view.setUint32(at, source.host);
  view.setUint32(at + 4, dest.host);
  view.setUint16(at + 8, source.port);
  view.setUint16(at + 10, dest.port);
}
