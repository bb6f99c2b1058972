/**
 * Sends the packets of a capture through an engine that is fed with a plan, and notes what became of
 * them. The engine chooses backends anew: answers in the capture, which others gave, are handed to it
 * as if the chosen backend had given them, so that connections go through their states.
 *
 * @module
 */

import { captureFormat, readCapture } from "../capture/capture.ts";
import type { CapturedPacket } from "../capture/captured_packet.ts";
import { findIp } from "../capture/link.ts";
import { describeVerdict, ForwardReason, PacketVerdict, VNET_HEADER_SIZE } from "../engine/abi.ts";
import type { Engine } from "../engine/engine.ts";
import type { LookupResult } from "../engine/handle.ts";
import { ConnectionBook, type OpenConnection } from "./connections.ts";
import {
  copyEnds,
  endsOf,
  leaveChecksum,
  type PacketEnds,
  readPacket,
  writeReversedEnds,
} from "./packet.ts";
import type { ReplayReport } from "./report.ts";
import { Timeline } from "./timeline.ts";
import { type EndpointNames, UnmatchedBook } from "./unmatched.ts";

/** How a replay is bounded. */
export interface ReplayOptions {
  /** Connections, and destinations of unmatched packets, that are listed. */
  readonly limit: number;
  /** Longest time, milliseconds. */
  readonly maxMs: number;
}

type Ends = ReturnType<typeof endsOf>;

/** What has run out is looked for this often, milliseconds of the capture. */
const EXPIRY_MS = 1000;
/** Places of the engine's tables that are looked at each time: all of them. */
const EXPIRY_BUDGET = 1 << 17;
/** Shorter than any connection lives without packets that could begin anew. */
const IDLE_MS = 10_000;
const SYN = 2;
const ACK = 16;
/** Packets between two looks at the clock. */
const CLOCK_PERIOD = 256;

/** Replays one capture through one engine, which nothing else uses. */
export class Replay {
  readonly #engine: Engine;
  readonly #timeline = new Timeline();
  readonly #connections = new ConnectionBook();
  readonly #unmatched: UnmatchedBook;
  readonly #skipped = new Map<string, number>();
  readonly #slot: Uint8Array<ArrayBuffer>;
  /** The IP packet in the slot. */
  readonly #packet: Uint8Array<ArrayBuffer>;
  #expired = 0;

  /** @param endpoints who is behind which address, for packets that no rule applies to. */
  constructor(engine: Engine, endpoints: EndpointNames) {
    this.#engine = engine;
    this.#slot = engine.slotBytes(0);
    this.#packet = this.#slot.subarray(VNET_HEADER_SIZE);

    this.#unmatched = new UnmatchedBook(endpoints);
  }

  /** Throws CaptureError where the capture is not as its format wants it. */
  run(file: Uint8Array, { limit, maxMs }: ReplayOptions): ReplayReport {
    const deadline = performance.now() + maxMs;
    const format = captureFormat(file);
    let packets = 0;
    let bytes = 0;
    let complete = true;
    for (const captured of readCapture(file)) {
      if (packets % CLOCK_PERIOD === 0 && performance.now() > deadline) {
        complete = false;
        break;
      }
      packets++;
      bytes += captured.originalLength;
      this.#take(captured);
    }
    return {
      format,
      packets,
      bytes,
      startedAt: this.#timeline.startedAt,
      durationMs: this.#timeline.durationMs,
      complete,
      ...this.#connections.report(limit, this.#timeline),
      ...this.#unmatched.report(limit),
      skipped: Object.fromEntries(this.#skipped),
    };
  }

  #take(captured: CapturedPacket): void {
    const nowMs = this.#timeline.pass(captured.timeMs);
    if (nowMs - this.#expired >= EXPIRY_MS) {
      this.#engine.expire(nowMs, EXPIRY_BUDGET);
      this.#expired = nowMs;
    }
    const found = findIp(captured);
    if ("other" in found) return this.#skip(found.other);
    const data = captured.data.subarray(found.at);
    const onWire = captured.originalLength - found.at;
    if (data.length > this.#packet.length) return this.#skip("longer than an IP packet");
    this.#packet.set(data);
    // What was cut off is there as zeros.
    this.#packet.fill(0, data.length, Math.min(Math.max(onWire, 64), this.#packet.length));
    const read = readPacket(this.#packet, data.length, onWire);
    if (read.kind === "unusable") return this.#skip(read.what);
    if (read.kind === "flow") return this.#flow(read.ends, read.length, nowMs);
    this.#slot.fill(0, 0, VNET_HEADER_SIZE);
    const { verdict, detail } = this.#process(read.length, nowMs);
    if (verdict === PacketVerdict.Forward) return;
    this.#unmatched.portless(read.what, read.length, describeVerdict(verdict, detail));
  }

  #flow(ends: PacketEnds, length: number, nowMs: number): void {
    const known = this.#connections.of(ends);
    const answered = known === null ? this.#connections.answeredBy(ends) : null;
    if (answered !== null) return this.#reply(answered, ends, length, nowMs);
    if (known === null && this.#unmatched.again(ends, length)) return;
    const original = known?.original ?? endsOf(this.#packet, ends);
    // What the engine would do is asked before it does it: what has begun is only "tracked".
    const asked = known === null || this.#mayBeginAnew(known, ends, nowMs)
      ? this.#lookUp(ends, original, nowMs)
      : known.asked;
    if (known === null) {
      if (asked.verdict === "PASS") return this.#pass(ends, original, length, nowMs, asked.reason);
      if (this.#connections.full) return this.#skip("of more connections than are kept");
    }
    leaveChecksum(this.#slot, ends);
    const { verdict, detail } = this.#process(length, nowMs);
    const isNew = verdict === PacketVerdict.Forward && detail === ForwardReason.New;
    const connection = known === null || isNew
      ? this.#connections.begin(ends, original, asked, nowMs)
      : known;
    if (isNew) connection.translate(endsOf(this.#packet, ends), copyEnds(this.#packet, ends));
    connection.sent(length, nowMs, verdict, detail);
  }

  /** A packet to no frontend. It may be a frontend's answer to what was not captured. */
  #pass(ends: PacketEnds, original: Ends, length: number, nowMs: number, reason: string): void {
    const { source, dest } = original;
    const { service } = this.#lookUp(ends, { source: dest, dest: source }, nowMs);
    if (service === null) return this.#unmatched.begin(ends, original, length, reason);
    this.#unmatched.answer(ends, source, length, service);
  }

  /** Whether a packet may begin another connection between the same ends. */
  #mayBeginAnew(known: OpenConnection, { protocol, transport }: PacketEnds, nowMs: number) {
    if (nowMs - known.lastMs >= IDLE_MS) return true;
    return protocol === "TCP" && (this.#packet[transport + 13] & (SYN | ACK)) === SYN;
  }

  /** A packet from a frontend to a client: as the backend would have sent it. */
  #reply(connection: OpenConnection, ends: PacketEnds, length: number, nowMs: number): void {
    const { translated } = connection;
    if (translated === null) return connection.answered(length, nowMs, null);
    writeReversedEnds(this.#packet, ends, translated);
    leaveChecksum(this.#slot, ends);
    const { verdict, detail } = this.#process(length, nowMs);
    const dropped = verdict === PacketVerdict.Forward ? null : describeVerdict(verdict, detail);
    connection.answered(length, nowMs, dropped);
  }

  #lookUp(ends: PacketEnds, { source, dest }: Ends, nowMs: number): LookupResult {
    const [answer] = this.#engine.lookup([{
      source: source.address,
      sourcePort: source.port,
      dest: dest.address,
      port: dest.port,
      protocol: ends.protocol,
    }], nowMs);
    return answer;
  }

  #process(length: number, nowMs: number): { verdict: PacketVerdict; detail: number } {
    this.#engine.setLength(0, VNET_HEADER_SIZE + length);
    this.#engine.process(0, 1, nowMs);
    return { verdict: this.#engine.verdict(0), detail: this.#engine.detail(0) };
  }

  #skip(what: string): void {
    this.#skipped.set(what, (this.#skipped.get(what) ?? 0) + 1);
  }
}
