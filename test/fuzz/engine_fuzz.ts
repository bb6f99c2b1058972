/**
 * Fuzzing of the packet engine: random bytes, mutated packets and changes of its tables, with the
 * clock going on. Whatever comes: no trap, no write outside the packet's slot, every packet counted
 * once, valid checksums out for valid ones in, and tables that agree with themselves.
 *
 *     deno run --allow-read test/fuzz/engine_fuzz.ts --seconds 60 --seed 1
 *
 * @module
 */

import assert from "node:assert/strict";
import { ForwardReason, PacketVerdict } from "../../src/engine/abi.ts";
import { Engine } from "../../src/engine/engine.ts";
import { NODE, service, type ServiceSpec } from "../engine/harness.ts";
import {
  buildIcmpError,
  buildIp,
  buildPacket,
  checksumError,
  ipOf,
  type PacketSpec,
} from "../engine/packets.ts";
import { buildSctp } from "../engine/sctp_packets.ts";
import { lengthOf, runTask, seedOf, taskOptions } from "../task_options.ts";
import { Random } from "./random.ts";

const SLOT_SIZE = 4096;
const CANARY = 0xa5;
/** Packets that came out, remembered. */
const SEEN = 16;

const VIPS = ["10.99.0.1", "10.99.0.2", "10.99.0.3"];
const VIPS6 = ["fd00:99::1", "fd00:99::2", "fd00:99::3"];
const CLIENTS = ["10.50.0.2", "10.50.0.3", "10.244.0.5", "10.60.0.1"];
const CLIENTS6 = ["fd00:50::2", "fd00:244::5", "fd00:60::1"];
const HOSTS = ["10.60.0.2", "10.60.0.3", "10.244.0.5"];
const HOSTS6 = ["fd00:244::5", "fd00:244::6"];
/** What Services listen on, first what they all do. */
const PORTS = [80, 80, 80, 80, 53, 8080, 30007, 61000, 61001];
const CLIENT_PORTS = [1000, 1001, 700, 61000];
/** Protocols of the Services, those of IPv4 first. */
const PROTOCOLS = ["TCP", "UDP", "SCTP", "TCP", "UDP", "TCP"] as const;
const FLAG_SETS = [2, 18, 16, 17, 4, 20, 24, 2, 16, 18, 0, 63];
const SEQUENCES = [0, 1, 1000, 1001, 5000, 5001, 0xffffffff, 0x80000000];

/** One engine under fire. */
export class EngineFuzzer {
  readonly #random: Random;
  readonly #engine: Engine;
  readonly #everything: Uint8Array;
  readonly #slots: readonly Uint8Array[];
  /** What came out lately, to be answered and quoted. */
  readonly #seen: Uint8Array[] = [];
  /** Everything that came out, in one number. */
  digest = 0;
  #now = 1000;
  #sent = 0;

  constructor(seed: number) {
    this.#random = new Random(seed);
    this.#engine = Engine.create({
      seed: BigInt(seed),
      slots: 3,
      slotSize: SLOT_SIZE,
      connections: 64,
      servicePorts: 16,
      frontends: 32,
      backends: 32,
      affinities: 8,
      keptSyns: 4,
      masqueradePorts: { first: 61000, last: 61015 },
      masqueradeAlways: this.#random.once(2),
      retryBackends: !this.#random.once(3),
    });
    this.#everything = new Uint8Array(this.#engine.memory.buffer);
    this.#slots = [0, 1, 2].map((slot) => this.#engine.slotBytes(slot));
    this.#engine.apply({ node: NODE, updated: [], removed: [] });
    for (let i = 0; i < 12; i++) this.#changeTables();
  }

  /** One step: a packet, mostly; now and then a change of the tables or of the time. */
  step(): void {
    const random = this.#random;
    if (random.once(60)) this.#changeTables();
    if (random.once(4)) this.#now += random.pick([0, 1, 1, 10, 10, 300]);
    if (random.once(100)) this.#now += random.pick([2001, 30_000, 120_000]);
    if (random.once(30)) this.#engine.expire(this.#now, random.below(64));
    this.#send(random.once(8) ? this.#noise() : this.#packet());
    if (random.once(50)) this.#checkTables();
  }

  /** Sums up: nothing has been lost. */
  finish(): void {
    this.#checkTables();
    const { packets, forwarded, rejected, passed, dropped } = this.#engine.counters();
    const drops = Object.values(dropped).reduce((sum, count) => sum + count, 0);
    assert.equal(packets, this.#sent);
    assert.equal(forwarded + rejected + passed + drops, packets);
  }

  #send({ bytes, sound }: { bytes: Uint8Array; sound: boolean }): void {
    const [before, slot, after] = this.#slots;
    for (const area of [before, after]) area.fill(CANARY);
    const from = before.byteOffset;
    const end = after.byteOffset + after.length;
    const tail = this.#everything.subarray(slot.byteOffset + slot.length, after.byteOffset);
    tail.fill(CANARY);
    slot.fill(CANARY);
    slot.set(bytes);
    this.#engine.setLength(1, bytes.length);
    const valid = sound && checksumError(bytes) === null;
    this.#engine.process(1, 1, this.#now);
    this.#sent++;
    for (const area of [before, after, tail]) {
      assert.ok(area.every((byte) => byte === CANARY), "wrote outside the slot");
    }
    assert.ok(end > from);
    const verdict = this.#engine.verdict(1);
    const length = this.#engine.outputLength(1);
    this.#mix(verdict, this.#engine.detail(1), length);
    if (verdict === PacketVerdict.Drop) return assert.equal(length, 0);
    assert.ok(length > 12 && length <= SLOT_SIZE, `length ${length}`);
    if (verdict !== PacketVerdict.Reply && verdict !== PacketVerdict.Forward) {
      const same = slot.subarray(0, length).every((byte, i) => byte === bytes[i]);
      assert.ok(same, "changed a packet that it passed");
    }
    const out = slot.slice(0, length);
    for (const byte of out) this.#mix(byte);
    // A SYN that is sent again is as right as it was when it came.
    const again = verdict === PacketVerdict.Forward &&
      this.#engine.detail(1) === ForwardReason.Retried;
    if (verdict === PacketVerdict.Reply || (valid && !again)) {
      assert.equal(checksumError(out), null);
    }
    if (verdict === PacketVerdict.Pass && !this.#random.once(20)) return;
    if (this.#seen.length < SEEN) this.#seen.push(out);
    else this.#seen[this.#random.below(SEEN)] = out;
  }

  #mix(...values: readonly number[]): void {
    for (const value of values) this.digest = Math.imul(this.digest ^ value, 0x01000193) >>> 0;
  }

  /** Random bytes, sometimes dressed as IP. */
  #noise(): { bytes: Uint8Array; sound: boolean } {
    const bytes = this.#random.bytes(this.#random.below(200));
    if (bytes.length > 12) bytes[12] = this.#random.pick([0x45, 0x46, 0x4f, 0x60, bytes[12]]);
    if (bytes.length > 21) bytes[21] = this.#random.pick([1, 6, 17, 132]);
    return { bytes, sound: false };
  }

  /** A packet that makes sense, or one that did until it was mutated. */
  #packet(): { bytes: Uint8Array; sound: boolean } {
    const random = this.#random;
    let bytes = random.once(3) ? this.#answer() : random.once(8) ? this.#error() : this.#request();
    if (!random.once(5)) return { bytes, sound: true };
    bytes = bytes.slice();
    for (let i = random.below(4); i >= 0; i--) {
      if (bytes.length > 0) bytes[random.below(bytes.length)] = random.bits() & 0xff;
    }
    if (random.once(4)) bytes = bytes.slice(0, random.below(bytes.length + 1));
    if (bytes.length > 32 && bytes[12] >> 4 === 4 && !random.once(3)) mendHeader(bytes);
    return { bytes, sound: false };
  }

  #request(): Uint8Array {
    const random = this.#random;
    const index = random.below(PROTOCOLS.length);
    const v6 = index >= 3;
    const protocol = random.once(10) ? random.pick(PROTOCOLS) : PROTOCOLS[index];
    const own = v6 ? "fd00:60::1" : "10.60.0.1";
    const spec: PacketSpec = {
      source: random.pick(v6 ? CLIENTS6 : CLIENTS),
      sourcePort: random.pick(CLIENT_PORTS),
      dest: random.once(6) ? own : [...VIPS, ...VIPS6][index],
      port: random.pick(PORTS),
      protocol,
      flags: random.pick(FLAG_SETS),
      seq: random.pick(SEQUENCES),
      ack: random.pick(SEQUENCES),
      window: random.pick([0, 1, 65535]),
      payload: random.bytes(random.pick([0, 0, 1, 33, 1400])),
      partial: random.once(3),
      noChecksum: random.once(4),
      ttl: random.pick([1, 64, 255]),
    };
    if (protocol === "SCTP") {
      return buildSctp(spec, random.pick([0, 1, 7]), random.below(16), random.pick([0, 1, 7]));
    }
    if (!random.once(6)) return buildPacket(spec);
    const segment = ipOf(buildPacket({ ...spec, partial: false })).slice(v6 ? 40 : 20);
    const offset = random.pick([0, 0, 1400, 1400, 8, 65528]);
    const where = { ...spec, id: random.below(2), moreFragments: random.once(2) };
    return buildIp({ ...where, fragmentOffset: offset }, protocol === "TCP" ? 6 : 17, segment);
  }

  /** The opposite direction of something that came out. */
  #answer(): Uint8Array {
    const seen = this.#seen.length === 0 ? this.#request() : this.#random.pick(this.#seen);
    const ip = ipOf(seen);
    const v4 = ip[0] >> 4 === 4;
    const at = v4 ? 20 : 40;
    const protocol = v4 ? ip[9] : ip[6];
    if ((protocol !== 6 && protocol !== 17) || ip.length < at + 8) return this.#request();
    const text = (from: number) =>
      v4
        ? ip.subarray(from, from + 4).join(".")
        : Array.from({ length: 8 }, (_, i) =>
          (ip[from + 2 * i] << 8 | ip[from + 2 * i + 1]).toString(16)).join(":");
    const [source, dest] = v4 ? [text(16), text(12)] : [text(24), text(8)];
    const port = (offset: number) => ip[at + offset] << 8 | ip[at + offset + 1];
    const seq = protocol === 6 ? new DataView(ip.buffer, ip.byteOffset + at).getUint32(4) : 0;
    const refuses = protocol === 6 && ip[at + 13] === 2 && this.#random.once(2);
    return buildPacket({
      source,
      dest,
      sourcePort: port(2),
      port: port(0),
      protocol: protocol === 6 ? "TCP" : "UDP",
      flags: refuses ? 20 : this.#random.pick(FLAG_SETS),
      seq: this.#random.pick(SEQUENCES),
      ack: refuses ? seq + 1 >>> 0 : this.#random.pick([seq + 1 >>> 0, ...SEQUENCES]),
      partial: this.#random.once(3),
    });
  }

  /** An ICMP error that quotes something that came out. */
  #error(): Uint8Array {
    const random = this.#random;
    const seen = this.#seen.length === 0 ? this.#request() : random.pick(this.#seen);
    const ip = ipOf(seen);
    const v4 = ip[0] >> 4 === 4;
    const quote = ip.slice(0, random.pick([20, 27, 28, 40, 48, 60, 100]));
    const source = random.pick(v4 ? HOSTS : HOSTS6);
    const dest = random.pick(v4 ? [...CLIENTS, ...VIPS] : [...CLIENTS6, ...VIPS6]);
    const type = v4 ? random.pick([3, 4, 5, 11, 12, 8]) : random.pick([1, 2, 3, 4, 128]);
    return buildIcmpError({ source, dest }, type, random.below(5), 1400, quote);
  }

  #changeTables(): void {
    const random = this.#random;
    const i = random.below(6);
    const v6 = i >= 3;
    if (random.once(12)) {
      this.#engine.apply({ node: null, updated: [], removed: [`default/s${i}`] });
      return;
    }
    const hosts = (v6 ? HOSTS6.map((host) => `[${host}]`) : HOSTS).filter(() => !random.once(3));
    const address = v6 ? VIPS6[i - 3] : VIPS[i];
    const backends = hosts.flatMap((host) => [`${host}:8080*${random.below(3)}`, `${host}:53`])
      .filter(() => !random.once(3));
    const spec: ServiceSpec = {
      name: `s${i}`,
      protocol: PROTOCOLS[i],
      backends,
      local: backends.slice(1),
      scheduler: random.pick(["rr", "random"]),
      affinitySeconds: random.once(3) ? 60 : undefined,
      masquerade: random.once(2),
      frontends: [
        { address, port: 80 },
        { address, port: 53 },
        { kind: "NodePort", address: null, port: random.pick([30007, 1000]) },
        { address, port: 8080, sourceRanges: random.pick([null, ["10.50.0.0/24"], []]) },
      ],
    };
    const ports = service(spec).ports.map((port) => ({ ...port, family: v6 ? "IPv6" : "IPv4" }));
    this.#engine.apply({
      node: null,
      updated: [{ ...service(spec), ports: ports as ReturnType<typeof service>["ports"] }],
      removed: [],
    });
  }

  /** Every connection is found by both of its tuples, and the counts agree. */
  #checkTables(): void {
    const { entries, next } = this.#engine.conntrack(0, 1000, this.#now);
    assert.equal(next, null);
    const tuples = new Set<string>();
    for (const { original, reply, protocol } of entries) {
      for (const tuple of [original, reply]) {
        const key = `${protocol} ${Object.values(tuple).join(" ")}`;
        assert.ok(!tuples.has(key), `two connections have ${key}`);
        tuples.add(key);
        const [found] = this.#engine.lookup([{ ...tuple, protocol }], this.#now);
        assert.match(found.reason, /is tracked/, key);
      }
    }
    const { connections, backends } = this.#engine.counters();
    assert.ok(connections.now >= entries.length && connections.now <= connections.limit);
    const active = backends.reduce((sum, backend) => sum + backend.active, 0);
    assert.ok(active <= connections.now);
  }
}

/** Makes the checksum of a mutated IPv4 header right, so that what follows is looked at. */
function mendHeader(packet: Uint8Array): void {
  const ip = ipOf(packet);
  const length = Math.min((ip[0] & 15) * 4, ip.length & ~1);
  ip[10] = ip[11] = 0;
  let sum = 0;
  for (let i = 0; i < length; i += 2) sum += ip[i] << 8 | ip[i + 1];
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  ip[10] = ~sum >> 8 & 0xff;
  ip[11] = ~sum & 0xff;
}

/** Runs `steps` steps from a seed; the digest of all that came out. Throws with the seed and step. */
export function fuzz(seed: number, steps: number): number {
  let step = 0;
  try {
    const fuzzer = new EngineFuzzer(seed);
    for (; step < steps; step++) fuzzer.step();
    fuzzer.finish();
    return fuzzer.digest;
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`seed ${seed}, step ${step}: ${reason}`, { cause });
  }
}

/** Fuzzes for a while, each run with another seed. */
async function main(): Promise<number> {
  const options = taskOptions({ seconds: "30", seed: String(Date.now() % 1_000_000) });
  const end = performance.now() + lengthOf("seconds", options.seconds) * 1000;
  const first = seedOf(options.seed);
  let seed = first;
  let runs = 0;
  for (; performance.now() < end; runs++) fuzz(seed++, 2000);
  const line = `${runs} runs of 2000 steps, seeds ${first} to ${seed - 1}: nothing found\n`;
  await Deno.stdout.write(new TextEncoder().encode(line));
  return 0;
}

if (import.meta.main) await runTask(main);
