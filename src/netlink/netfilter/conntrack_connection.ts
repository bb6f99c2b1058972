/**
 * A tracked connection, and how it is read from and named in messages.
 *
 * @module
 */

import type { Family } from "../../net/address.ts";
import type { ValuesOf } from "../attribute.ts";
import { malformed } from "../error.ts";
import { familyName } from "../family.ts";
import type { Message } from "../message.ts";
import { names } from "../names.ts";
import { CONNECTION, CT_DELETE, CT_NEW, type TUPLE } from "./conntrack_formats.ts";

/** Bits of {@link Connection.status} (IPS_*). */
export const STATUS = {
  expected: 1,
  seenReply: 2,
  assured: 4,
  confirmed: 8,
  sourceNat: 0x10,
  destinationNat: 0x20,
  dying: 0x200,
  fixedTimeout: 0x400,
  offload: 0x4000,
} as const;

/** States of a TCP connection (TCP_CONNTRACK_*), as in /proc/net/nf_conntrack. */
export type TcpStateName =
  | "NONE"
  | "SYN_SENT"
  | "SYN_RECV"
  | "ESTABLISHED"
  | "FIN_WAIT"
  | "CLOSE_WAIT"
  | "LAST_ACK"
  | "TIME_WAIT"
  | "CLOSE"
  | "SYN_SENT2";
export type TcpState = TcpStateName | number;
const TCP_STATES = names<TcpStateName>({
  NONE: 0,
  SYN_SENT: 1,
  SYN_RECV: 2,
  ESTABLISHED: 3,
  FIN_WAIT: 4,
  CLOSE_WAIT: 5,
  LAST_ACK: 6,
  TIME_WAIT: 7,
  CLOSE: 8,
  SYN_SENT2: 9,
});

/** One direction of a connection, as its packets show it. */
export interface Tuple {
  readonly source: string;
  readonly destination: string;
  /** IP protocol: 6 TCP, 17 UDP, 132 SCTP, 1 ICMP, 58 ICMPv6. */
  readonly protocol: number;
  /** Protocols with ports. */
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  /** ICMP and ICMPv6. */
  readonly icmp?: { readonly type: number; readonly code: number; readonly id: number };
  /** The zone of this direction alone, where the two directions have different ones. */
  readonly zone?: number;
}

/** What passed in one direction. */
export interface Counters {
  readonly packets: bigint;
  readonly bytes: bigint;
}

/** What names a connection, as for deleting it. */
export interface ConnectionId {
  readonly family: Family;
  /** What the first packet had, before any translation. */
  readonly original: Tuple;
  /** Zone of both directions (0: the default). */
  readonly zone?: number;
  /** Where given, only this very connection is meant, not a later one between the same ends. */
  readonly id?: number;
}

/** A tracked connection. */
export interface Connection extends ConnectionId {
  /** What the answers have: its source is the endpoint that NAT chose. */
  readonly reply: Tuple;
  readonly zone: number;
  readonly id: number;
  /** Bits of {@link STATUS}. */
  readonly status: number;
  readonly mark: number;
  /** Seconds until it is forgotten, or null when it is about to be. */
  readonly timeout: number | null;
  /** TCP only. */
  readonly tcpState: TcpState | null;
  /**
   * When it began, milliseconds since the epoch; null unless sysctl
   * net.netfilter.nf_conntrack_timestamp was on then.
   */
  readonly startedAtMs: number | null;
  /** Null unless sysctl net.netfilter.nf_conntrack_acct is on. */
  readonly counters: { readonly original: Counters; readonly reply: Counters } | null;
}

/** Reads a connection; null for families other than IP. */
export function readConnection(message: Message): Connection | null {
  if (message.type !== CT_NEW && message.type !== CT_DELETE) return null;
  const { header, attributes } = CONNECTION.decode(message.payload);
  const family = familyName(header.family);
  if (family === null) return null;
  const { original, reply, originalCounters, replyCounters } = attributes;
  const tcp = attributes.protocolState?.tcp?.state;
  const start = attributes.timestamp?.start ?? 0n;
  return {
    family,
    original: readTuple(original),
    reply: readTuple(reply),
    zone: attributes.zone ?? 0,
    id: attributes.id ?? 0,
    status: attributes.status ?? 0,
    mark: attributes.mark ?? 0,
    timeout: attributes.timeout ?? null,
    tcpState: tcp === undefined ? null : TCP_STATES.name(tcp),
    startedAtMs: start === 0n ? null : Number(start / 1_000_000n),
    counters: originalCounters === undefined && replyCounters === undefined
      ? null
      : { original: readCounters(originalCounters), reply: readCounters(replyCounters) },
  };
}

function readCounters(values: { packets?: bigint; bytes?: bigint } = {}): Counters {
  return { packets: values.packets ?? 0n, bytes: values.bytes ?? 0n };
}

type TupleValues = ValuesOf<typeof TUPLE>;

function readTuple(values: TupleValues | undefined): Tuple {
  const { ip, protocol, zone } = values ?? {};
  const source = ip?.source4 ?? ip?.source6;
  const destination = ip?.destination4 ?? ip?.destination6;
  if (source === undefined || destination === undefined || protocol?.number === undefined) {
    throw malformed("a connection without addresses or protocol");
  }
  const type = protocol.icmpType ?? protocol.icmp6Type;
  return {
    source,
    destination,
    protocol: protocol.number,
    ...(protocol.sourcePort === undefined ? {} : { sourcePort: protocol.sourcePort }),
    ...(protocol.destinationPort === undefined
      ? {}
      : { destinationPort: protocol.destinationPort }),
    ...(type === undefined ? {} : {
      icmp: {
        type,
        code: protocol.icmpCode ?? protocol.icmp6Code ?? 0,
        id: protocol.icmpId ?? protocol.icmp6Id ?? 0,
      },
    }),
    ...(zone === undefined ? {} : { zone }),
  };
}

/** The attributes of a whole tuple. */
export function tupleAttributes(family: Family, tuple: Tuple): TupleValues {
  const { source, destination, protocol, sourcePort, destinationPort, icmp, zone } = tuple;
  const four = family === "IPv4";
  return {
    ip: four
      ? { source4: source, destination4: destination }
      : { source6: source, destination6: destination },
    protocol: {
      number: protocol,
      sourcePort,
      destinationPort,
      ...(icmp === undefined
        ? {}
        : four
        ? { icmpId: icmp.id, icmpType: icmp.type, icmpCode: icmp.code }
        : { icmp6Id: icmp.id, icmp6Type: icmp.type, icmp6Code: icmp.code }),
    },
    zone,
  };
}
