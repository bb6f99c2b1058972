/**
 * A packet engine in this thread. Everything is synchronous: the caller brings packets, time and
 * plan, and the same calls with the same seed give the same bytes.
 *
 * @module
 */

import type { Family } from "../net/address.ts";
import type { PlanChange } from "../plan/plan.ts";
import {
  BackendRecord,
  Counter,
  DROP_REASONS,
  DropReason,
  EngineFlag,
  MIN_SLOT_CAPACITY,
  PacketVerdict,
  SlotRecord,
  TcpState,
  VNET_HEADER_SIZE,
} from "./abi.ts";
import { Questions } from "./answers.ts";
import type {
  BackendCounters,
  BasedResult,
  Basis,
  ConntrackEntry,
  EngineCounters,
  LookupResult,
  PacketQuery,
  RecordAnswers,
} from "./handle.ts";
import { type Capacity, type EngineExports, instantiate } from "./module.ts";
import { RecordQuestions } from "./records.ts";
import { Scratch } from "./scratch.ts";
import { PlanTables } from "./tables.ts";

/** How an engine is made. */
export interface EngineOptions {
  /** Decides all that is random. */
  readonly seed: bigint;
  /** Places for connections (default 131072): IPv4 takes one, IPv6 two. */
  readonly connections?: number;
  /** Slots of the packet ring (default 256). */
  readonly slots?: number;
  /** Bytes of a slot, header included, from 2048 (default: a packet of 64 KiB and its header). */
  readonly slotSize?: number;
  /** Room for the plan: ports of Services (default 32768). */
  readonly servicePorts?: number;
  /** Frontends, a node port counting one (default 65536). */
  readonly frontends?: number;
  /** Backends of all Service ports together (default 262144). */
  readonly backends?: number;
  /** Clients with session affinity (default 65536). */
  readonly affinities?: number;
  /** SYNs that can be sent again when refused (default 4096). */
  readonly keptSyns?: number;
  /** Addresses of masqueraded connections; default: the node's first of each family. */
  readonly masqueradeAddresses?: Readonly<Partial<Record<Family, string>>>;
  /**
   * Source ports of masqueraded connections. Packets to these ports of the masquerade address that
   * belong to no connection are dropped. Default: the client's port or one of its class, as Linux.
   */
  readonly masqueradePorts?: { readonly first: number; readonly last: number };
  /** Masquerade every connection, so that all replies come back through the engine. */
  readonly masqueradeAlways?: boolean;
  /** Try another backend when one refuses a connection or stays silent. */
  readonly retryBackends?: boolean;
  /**
   * What makes the overhead of a backend in lc, wlc, lblc, lblcr and twos: 256 for each active
   * connection and 1 for "all" connections (Linux since 6.1.187 and 6.12.105; default) or for the
   * "inactive" ones only (before).
   */
  readonly overhead?: "all" | "inactive";
  /** Timeouts of TCP states, in seconds, other than Linux's. */
  readonly tcpTimeouts?: { readonly established?: number; readonly closeWait?: number };
  /** Timeouts of UDP, in seconds, other than Linux's; a stream goes on both ways for two seconds. */
  readonly udpTimeouts?: { readonly single?: number; readonly stream?: number };
  /** The time at the start, ms. */
  readonly nowMs?: number;
}

const DEFAULTS: Capacity = {
  slots: 256,
  slotSize: VNET_HEADER_SIZE + 65536,
  connections: 131072,
  servicePorts: 32768,
  frontends: 65536,
  backends: 262144,
  affinities: 65536,
  keptSyns: 4096,
};

/** A packet engine. */
export class Engine {
  /** The engine's linear memory; it never grows. */
  readonly memory: WebAssembly.Memory;
  /** Slots of the packet ring. */
  readonly slotCount: number;
  /** Bytes of a slot that may hold header and packet. */
  readonly slotCapacity: number;

  readonly #exports: EngineExports;
  readonly #scratch: Scratch;
  readonly #tables: PlanTables;
  readonly #questions: Questions;
  readonly #recordQuestions: RecordQuestions;
  readonly #slotsAt: number;
  readonly #slotStride: number;
  /** SlotRecords as words. */
  readonly #records: Uint32Array;
  readonly #totals: BigUint64Array;
  readonly #drops: BigUint64Array;
  #nowMs: number;

  private constructor(options: EngineOptions) {
    const capacity = capacityOf(options);
    const { exports, memory } = instantiate(capacity);
    const { first, last } = portsOf(options);
    const flags = (options.masqueradeAlways ? EngineFlag.MasqueradeAlways : 0) |
      (options.retryBackends ? EngineFlag.RetryBackends : 0) |
      (options.overhead === "inactive" ? EngineFlag.InactiveOverhead : 0);
    this.#nowMs = options.nowMs ?? 0;
    exports.start(flags, first, last, BigInt.asIntN(64, options.seed), this.#nowMs);
    setTimeouts(exports, options);
    const { buffer } = memory;
    this.memory = memory;
    this.#exports = exports;
    this.slotCount = capacity.slots;
    this.slotCapacity = exports.slotCapacityBytes();
    this.#slotsAt = exports.slotsAt();
    this.#slotStride = exports.slotStrideBytes();
    const words = capacity.slots * SlotRecord.Size / 4;
    this.#records = new Uint32Array(buffer, exports.slotRecordsAt(), words);
    this.#totals = new BigUint64Array(buffer, exports.countersAt(), Counter.Count);
    this.#drops = new BigUint64Array(buffer, exports.dropsAt(), DropReason.Count);
    this.#scratch = new Scratch(buffer, exports.scratchAt(), exports.scratchSize());
    const { masqueradeAddresses } = options;
    this.#tables = new PlanTables(
      exports,
      this.#scratch,
      masqueradeAddresses ? Object.values(masqueradeAddresses) : null,
    );
    this.#questions = new Questions(exports, this.#scratch, this.#tables);
    this.#recordQuestions = new RecordQuestions(exports, this.#scratch, this.#tables);
  }

  /** Makes an engine without a plan. Throws RangeError when an option is out of bounds. */
  static create(options: EngineOptions): Engine {
    return new Engine(options);
  }

  /**
   * The memory of a slot: the 12-byte virtio-net header, directly behind it the IP packet. Valid as
   * long as the engine is.
   */
  slotBytes(slot: number): Uint8Array<ArrayBuffer> {
    const at = this.#slotsAt + slot * this.#slotStride;
    return new Uint8Array(this.memory.buffer, at, this.slotCapacity);
  }

  /** Says how many bytes have been put into a slot, header included. */
  setLength(slot: number, length: number): void {
    this.#records[wordOf(slot, SlotRecord.LengthIn)] = length;
  }

  /** Handles `count` packets, in the slots from `first` on, around the ring. */
  process(first: number, count: number, nowMs: number): void {
    this.#nowMs = nowMs;
    this.#exports.process(first, count, nowMs);
  }

  /** What is to be done with a slot after {@link process}. */
  verdict(slot: number): PacketVerdict {
    return this.#records[wordOf(slot, SlotRecord.Verdict)];
  }

  /** Why: DropReason, ForwardReason, ReplyKind or PassReason, by the verdict. */
  detail(slot: number): number {
    return this.#records[wordOf(slot, SlotRecord.Detail)];
  }

  /** How many bytes of a slot are to be written out, header included; 0 when it was dropped. */
  outputLength(slot: number): number {
    return this.#records[wordOf(slot, SlotRecord.LengthOut)];
  }

  /** Takes over what changed in the plan; connections to surviving backends go on. */
  apply(change: PlanChange): void {
    this.#tables.apply(change);
  }

  /** Deletes what has run out, looking at `budget` places of each table. */
  expire(nowMs: number, budget: number): void {
    this.#nowMs = nowMs;
    this.#exports.expire(nowMs, budget);
  }

  /** Where packets would go now; changes nothing. Throws TypeError for impossible addresses. */
  lookup(queries: readonly PacketQuery[], nowMs = this.#nowMs): LookupResult[] {
    return queries.map((query) => this.#questions.lookup(query, nowMs));
  }

  /** One answer of lookup, or null when it rests on what is known. */
  lookupIfChanged(
    query: PacketQuery,
    known: Basis | null,
    nowMs = this.#nowMs,
  ): BasedResult | null {
    return this.#questions.lookupIfChanged(query, nowMs, known);
  }

  /** The same as lookup in records of fixed size: see records.ts. */
  lookupRecords(questions: Uint8Array, nowMs = this.#nowMs): RecordAnswers {
    return this.#recordQuestions.lookup(questions, nowMs);
  }

  /** A page of connections: at most `limit`, starting behind `cursor` (0 first). */
  conntrack(
    cursor: number,
    limit: number,
    nowMs = this.#nowMs,
  ): { entries: ConntrackEntry[]; next: number | null } {
    return this.#questions.conntrack(cursor, limit, nowMs);
  }

  counters(): EngineCounters {
    const total = (counter: Counter) => Number(this.#totals[counter]);
    const dropped: Record<string, number> = {};
    for (let reason = 1; reason < DropReason.Count; reason++) {
      dropped[DROP_REASONS[reason]] = Number(this.#drops[reason]);
    }
    return {
      packets: total(Counter.Packets),
      bytes: total(Counter.Bytes),
      forwarded: total(Counter.Forwarded),
      rejected: total(Counter.Replied),
      passed: total(Counter.Passed),
      dropped,
      connections: {
        now: this.#exports.connectionsNow(),
        created: total(Counter.Created),
        limit: this.#exports.connectionLimit(),
      },
      retried: total(Counter.Retried),
      backends: [...this.#backendCounters()],
    };
  }

  /** Totals of what the counters of {@link EngineHandle} have no place for. */
  total(counter: Counter): number {
    return Number(this.#totals[counter]);
  }

  *#backendCounters(): Iterable<BackendCounters> {
    const { view } = this.#scratch;
    for (const { id, service, protocol, address, port } of this.#tables.backends()) {
      this.#exports.backendDescribe(id);
      yield {
        service,
        protocol,
        backend: { address, port },
        connections: Number(view.getBigUint64(BackendRecord.Connections, true)),
        active: view.getUint32(BackendRecord.Active, true),
        packets: Number(view.getBigUint64(BackendRecord.Packets, true)),
        bytes: Number(view.getBigUint64(BackendRecord.Bytes, true)),
      };
    }
  }
}

/** Where a field of a slot's record is among its words. */
function wordOf(slot: number, field: SlotRecord): number {
  return (slot * SlotRecord.Size + field) >> 2;
}

function capacityOf(options: EngineOptions): Capacity {
  const capacity = { ...DEFAULTS };
  for (const name of Object.keys(DEFAULTS) as (keyof Capacity)[]) {
    const value = options[name];
    if (value === undefined) continue;
    const least = name === "slotSize" ? MIN_SLOT_CAPACITY : 1;
    if (!Number.isInteger(value) || value < least || value > 2 ** 27) {
      throw new RangeError(`${name} must be a whole number from ${least} to ${2 ** 27}: ${value}`);
    }
    capacity[name] = value;
  }
  return capacity;
}

function portsOf({ masqueradePorts }: EngineOptions): { first: number; last: number } {
  if (masqueradePorts === undefined) return { first: 0, last: 0 };
  const { first, last } = masqueradePorts;
  const valid = Number.isInteger(first) && Number.isInteger(last) && first >= 1 && first <= last &&
    last <= 65535;
  if (!valid) throw new RangeError(`masquerade ports must be a range in 1-65535: ${first}-${last}`);
  return { first, last };
}

/** The longest that a connection may be kept without packets, seconds. */
export const MAX_TIMEOUT = 4_000_000;

function setTimeouts(exports: EngineExports, options: EngineOptions): void {
  const milliseconds = (seconds: number) => {
    if (!(seconds > 0 && seconds <= MAX_TIMEOUT)) {
      throw new RangeError(`a timeout must be above 0 and at most ${MAX_TIMEOUT} s: ${seconds}`);
    }
    return Math.ceil(seconds * 1000);
  };
  const { tcpTimeouts: { established, closeWait } = {}, udpTimeouts } = options;
  if (established !== undefined) {
    exports.setTimeout(TcpState.Established, milliseconds(established));
  }
  if (closeWait !== undefined) exports.setTimeout(TcpState.CloseWait, milliseconds(closeWait));
  const { single = 30, stream = 120 } = udpTimeouts ?? {};
  exports.setDatagramTimeouts(milliseconds(single), milliseconds(stream));
}
