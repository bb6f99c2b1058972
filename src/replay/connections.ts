/**
 * The connections of a replay, by the ends that their packets have.
 *
 * @module
 */

import { describeVerdict, DropReason, PacketVerdict } from "../engine/abi.ts";
import type { LookupResult, Verdict } from "../engine/handle.ts";
import { formatSocketAddress } from "../net/address.ts";
import type { endsOf, PacketEnds } from "./packet.ts";
import type { BackendShare, ReplayedConnection, ReplayEnd, ReplayReport } from "./report.ts";
import type { Timeline } from "./timeline.ts";

type Ends = ReturnType<typeof endsOf>;

/** Connections of one replay; packets of those beyond are skipped. */
const MOST_CONNECTIONS = 100_000;

/** What the engine said about a connection's first packet before it took it. */
export type Asked = Pick<LookupResult, "verdict" | "service" | "frontend" | "reason">;

/** A connection while packets of it may still come. */
export class OpenConnection {
  /** The ends of its packets behind the engine, see copyEnds; null: it is not translated. */
  translated: Uint8Array | null = null;
  #backend: ReplayEnd | null = null;
  #masqueraded = false;
  #verdict: Verdict;
  #reason: string;
  readonly #original = { packets: 0, bytes: 0 };
  readonly #replies = { packets: 0, bytes: 0 };
  readonly #dropped = new Map<string, number>();
  #lastMs: number;

  constructor(
    readonly ends: PacketEnds,
    readonly original: Ends,
    readonly asked: Asked,
    readonly beganMs: number,
  ) {
    this.#verdict = asked.verdict;
    this.#reason = asked.reason;
    this.#lastMs = beganMs;
  }

  get backend(): ReplayEnd | null {
    return this.#backend;
  }

  /** Takes over what the engine made of its first packet. */
  translate({ source, dest }: Ends, translated: Uint8Array): void {
    this.translated = translated;
    this.#backend = dest;
    this.#masqueraded = source.address !== this.original.source.address;
  }

  /** A packet of the client. */
  sent(length: number, nowMs: number, verdict: PacketVerdict, detail: number): void {
    this.#count(this.#original, length, nowMs);
    if (verdict === PacketVerdict.Forward) return;
    if (verdict === PacketVerdict.Drop) this.#drop(describeVerdict(verdict, detail));
    if (this.#original.packets > 1 || this.#verdict !== "FORWARD") return;
    // Its first packet was expected to be forwarded, and was not.
    this.#verdict = verdict === PacketVerdict.Drop ? "DROP" : "REJECT";
    this.#reason = verdict === PacketVerdict.Drop && detail === DropReason.TcpNotSyn
      ? "its first packet is no SYN: it began before the capture"
      : describeVerdict(verdict, detail);
  }

  /** A packet to the client, and why the engine dropped it, or null. */
  answered(length: number, nowMs: number, dropped: string | null): void {
    this.#count(this.#replies, length, nowMs);
    if (dropped !== null) this.#drop(dropped);
  }

  #count(amount: { packets: number; bytes: number }, length: number, nowMs: number): void {
    amount.packets++;
    amount.bytes += length;
    this.#lastMs = nowMs;
  }

  #drop(reason: string): void {
    this.#dropped.set(reason, (this.#dropped.get(reason) ?? 0) + 1);
  }

  /** When its last packet came. */
  get lastMs(): number {
    return this.#lastMs;
  }

  get bytes(): number {
    return this.#original.bytes + this.#replies.bytes;
  }

  get packets(): number {
    return this.#original.packets + this.#replies.packets;
  }

  report(timeline: Timeline): ReplayedConnection {
    const { protocol } = this.ends;
    const { source, dest } = this.original;
    const startedAt = timeline.at(this.beganMs);
    return {
      protocol,
      client: source,
      frontend: { ...dest, kind: this.asked.frontend },
      service: this.asked.service,
      verdict: this.#verdict,
      backend: this.#backend,
      masqueraded: this.#masqueraded,
      reason: this.#reason,
      startedAt,
      durationMs: startedAt === null ? null : this.#lastMs - this.beganMs,
      original: { ...this.#original },
      replies: { ...this.#replies },
      dropped: Object.fromEntries(this.#dropped),
    };
  }
}

/** All connections of a replay. */
export class ConnectionBook {
  readonly #all: OpenConnection[] = [];
  readonly #byOriginal = new Map<string, OpenConnection>();
  readonly #byReply = new Map<string, OpenConnection>();

  /** Whether no more connections can be begun. */
  get full(): boolean {
    return this.#all.length >= MOST_CONNECTIONS;
  }

  /** The latest connection that a packet is of, as its client sends it. */
  of({ key }: PacketEnds): OpenConnection | null {
    return this.#byOriginal.get(key) ?? null;
  }

  /** The latest connection that a packet answers, as its client gets the answer. */
  answeredBy({ key }: PacketEnds): OpenConnection | null {
    return this.#byReply.get(key) ?? null;
  }

  begin(ends: PacketEnds, original: Ends, asked: Asked, nowMs: number): OpenConnection {
    const { verdict, service, frontend, reason } = asked;
    const kept = { verdict, service, frontend, reason };
    const connection = new OpenConnection(ends, original, kept, nowMs);
    this.#all.push(connection);
    this.#byOriginal.set(ends.key, connection);
    this.#byReply.set(ends.reverse, connection);
    return connection;
  }

  /** The first of the connections, and what every backend got of all of them. */
  report(
    limit: number,
    timeline: Timeline,
  ): Pick<ReplayReport, "connections" | "connectionsTotal" | "backends"> {
    return {
      connections: this.#all.slice(0, limit).map((connection) => connection.report(timeline)),
      connectionsTotal: this.#all.length,
      backends: shares(this.#all),
    };
  }
}

type Share = { -readonly [K in keyof BackendShare]: BackendShare[K] };

/** By Service port, the busiest backend first. */
function shares(all: readonly OpenConnection[]): BackendShare[] {
  const found = new Map<string, Share>();
  const totals = new Map<string, number>();
  for (const { asked: { service }, ends, backend, packets, bytes } of all) {
    if (service === null || backend === null) continue;
    const port = `${service} ${ends.protocol}`;
    totals.set(port, (totals.get(port) ?? 0) + 1);
    const key = `${port} ${formatSocketAddress(backend.address, backend.port)}`;
    const share = found.get(key) ??
      { service, protocol: ends.protocol, backend, connections: 0, share: 0, packets: 0, bytes: 0 };
    share.connections++;
    share.packets += packets;
    share.bytes += bytes;
    found.set(key, share);
  }
  for (const share of found.values()) {
    share.share = share.connections / totals.get(`${share.service} ${share.protocol}`)!;
  }
  return [...found.values()].sort((a, b) =>
    a.service === b.service ? b.connections - a.connections : a.service < b.service ? -1 : 1
  );
}
