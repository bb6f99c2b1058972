/**
 * A tracked connection, whoever tracks it: the engine or the kernel.
 *
 * @module
 */

import type { Protocol } from "../../cluster/objects.ts";
import type { ConntrackEntry } from "../../engine/handle.ts";
import { type Connection, STATUS, type Tuple } from "../../netlink/netfilter/conntrack.ts";

/** One direction of a connection. */
export interface Direction {
  readonly source: string;
  readonly sourcePort: number;
  readonly dest: string;
  readonly port: number;
}

/** What passed in one direction. */
export interface Passed {
  readonly packets: number;
  readonly bytes: number;
}

/** A connection of a protocol that Services have. */
export interface Tracked {
  readonly protocol: Protocol;
  readonly state: string;
  readonly original: Direction;
  readonly reply: Direction;
  /** The service port that the engine chose a backend of; null where only the plan can tell. */
  readonly service: string | null;
  readonly assured: boolean;
  readonly expiresInSeconds: number | null;
  /** Since it began; null where that is not known. */
  readonly ageSeconds: number | null;
  readonly counters: { readonly original: Passed; readonly reply: Passed } | null;
}

/** Of the engine's table. */
export function trackedByEngine(entry: ConntrackEntry): Tracked {
  const { expiresInMs, ...rest } = entry;
  const expiresInSeconds = Math.ceil(expiresInMs / 1000);
  return { ...rest, expiresInSeconds, counters: null };
}

/** IP protocol numbers (IANA). */
const PROTOCOLS: Readonly<Record<number, Protocol>> = { 6: "TCP", 17: "UDP", 132: "SCTP" };

/** Protocol numbers by name. */
export const PROTOCOL_NUMBERS: Readonly<Record<Protocol, number>> = { TCP: 6, UDP: 17, SCTP: 132 };

/** Of the kernel's table; null for protocols that Services don't have. */
export function trackedByKernel(connection: Connection, nowMs = Date.now()): Tracked | null {
  const protocol = PROTOCOLS[connection.original.protocol];
  if (protocol === undefined) return null;
  const { status, tcpState, timeout, counters, startedAtMs } = connection;
  const passed = ({ packets, bytes }: { packets: bigint; bytes: bigint }): Passed => ({
    packets: Number(packets),
    bytes: Number(bytes),
  });
  return {
    protocol,
    state: tcpState === null ? statusName(status) : String(tcpState),
    original: direction(connection.original),
    reply: direction(connection.reply),
    service: null,
    assured: (status & STATUS.assured) !== 0,
    expiresInSeconds: timeout,
    ageSeconds: startedAtMs === null ? null : Math.max(0, Math.floor((nowMs - startedAtMs) / 1000)),
    counters: counters === null
      ? null
      : { original: passed(counters.original), reply: passed(counters.reply) },
  };
}

/** As `conntrack -L` calls connections without states of their own. */
function statusName(status: number): string {
  if ((status & STATUS.assured) !== 0) return "ASSURED";
  return (status & STATUS.seenReply) !== 0 ? "REPLIED" : "UNREPLIED";
}

function direction({ source, sourcePort, destination, destinationPort }: Tuple): Direction {
  return { source, sourcePort: sourcePort ?? 0, dest: destination, port: destinationPort ?? 0 };
}
