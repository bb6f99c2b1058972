/**
 * Connection tracking by ctnetlink: the connections of a namespace, read by a filter and deleted.
 *
 * ```ts
 * using conntrack = Conntrack.open();
 * // After a UDP endpoint is gone: what its clients still send must be balanced anew.
 * conntrack.deleteMatching({
 *   protocol: 17,
 *   original: { destination: "10.96.0.10", destinationPort: 53 },
 *   reply: { source: "10.244.1.7" },
 * });
 * ```
 *
 * A namespace tracks connections only once a rule in it needs that. Sources: nfnetlink_conntrack.h,
 * nf_conntrack_netlink.c, nf_conntrack_common.h.
 *
 * @module
 */

import { ERRNO } from "../../linux/errno.ts";
import { malformed } from "../error.ts";
import { familyNumber } from "../family.ts";
import type { Message, NetlinkError, Request } from "../message.ts";
import { NETLINK_NETFILTER, NetlinkSocket } from "../socket.ts";
import {
  type Connection,
  type ConnectionId,
  readConnection,
  tupleAttributes,
} from "./conntrack_connection.ts";
import {
  commonFilter,
  type ConnectionFilter,
  kernelFilters,
  matches,
  matchesAny,
} from "./conntrack_filter.ts";
import {
  CONNECTION,
  CPU_STATISTICS,
  CT_DELETE,
  CT_GET,
  CT_GET_STATS,
  CT_GET_STATS_CPU,
  STATISTICS,
} from "./conntrack_formats.ts";

export {
  type Connection,
  type ConnectionId,
  type Counters,
  STATUS,
  type TcpState,
  type Tuple,
} from "./conntrack_connection.ts";
export type { ConnectionFilter, Masked, TupleFilter } from "./conntrack_filter.ts";

/** How full the table is. */
export interface TableStatistics {
  readonly entries: number;
  /** net.netfilter.nf_conntrack_max; 0 when the kernel does not say. */
  readonly maximum: number;
}

/** What happened since the start, summed over the processors (struct ip_conntrack_stat). */
export interface ConntrackStatistics {
  readonly found: number;
  /** Packets that belong to no connection and cannot start one. */
  readonly invalid: number;
  readonly insert: number;
  /** Entries that could not be inserted, mostly as two packets raced. */
  readonly insertFailed: number;
  /** Packets dropped, as the table was full or memory was short. */
  readonly drop: number;
  /** Connections given up to make room. */
  readonly earlyDrop: number;
  readonly error: number;
  readonly searchRestart: number;
  readonly clashResolve: number;
  readonly chainTooLong: number;
}

/** The connections of a namespace. Calls are synchronous and throw NetlinkError. */
export class Conntrack {
  private constructor(readonly socket: NetlinkSocket) {}

  /** For the namespace that this thread is in now, wherever it goes later. */
  static open(): Conntrack {
    return new Conntrack(NetlinkSocket.open(NETLINK_NETFILTER, { receiveBuffer: 4 << 20 }));
  }

  /**
   * The connections that match all of the filter. The kernel leaves out what it can, depending on
   * its version; the rest is left out here.
   */
  list(filter: ConnectionFilter = {}): Connection[] {
    const found: Connection[] = [];
    for (const payload of kernelFilters(filter)) {
      const request = { type: CT_GET, payload, format: CONNECTION, what: "list connections" };
      for (const message of this.socket.dump(request)) {
        const connection = readConnection(message);
        if (connection !== null && matches(connection, filter)) found.push(connection);
      }
    }
    return found;
  }

  /** Deletes one; false when it was gone already. */
  delete(connection: ConnectionId): boolean {
    const [refused] = this.deleteAll([connection]);
    if (refused === null) return true;
    if (refused.errno === ERRNO.ENOENT) return false;
    throw refused;
  }

  /** Deletes many with few system calls; for each null or why not, ENOENT when it was gone. */
  deleteAll(connections: readonly ConnectionId[]): (NetlinkError | null)[] {
    return this.socket.batch(connections.map(deleteRequest));
  }

  /**
   * Deletes those that match all of the filter, or of one of the filters, and returns how many. The
   * table is read once, however many filters there are. Connections that end by themselves
   * meanwhile are not counted; any other refusal is thrown after all were tried.
   */
  deleteMatching(filter: ConnectionFilter | readonly ConnectionFilter[]): number {
    const results = this.deleteAll(this.#matching(filter));
    const refused = results.find((result) => result !== null && result.errno !== ERRNO.ENOENT);
    if (refused) throw refused;
    return results.filter((result) => result === null).length;
  }

  #matching(filter: ConnectionFilter | readonly ConnectionFilter[]): Connection[] {
    if (!isList(filter)) return this.list(filter);
    if (filter.length === 1) return this.list(filter[0]);
    return filter.length === 0 ? [] : this.list(commonFilter(filter)).filter(matchesAny(filter));
  }

  /** How full the table of this namespace is. */
  table(): TableStatistics {
    const [answer] = this.socket.request({
      type: CT_GET_STATS,
      payload: STATISTICS.encode({}, {}),
      what: "read the size of the connection table",
    });
    if (answer === undefined) throw malformed("the kernel told no size of the connection table");
    const { entries = 0, maximum = 0 } = STATISTICS.decode(answer.payload).attributes;
    return { entries, maximum };
  }

  /** The counters of this namespace. */
  statistics(): ConntrackStatistics {
    const answers = this.socket.dump({
      type: CT_GET_STATS_CPU,
      payload: CPU_STATISTICS.encode({}, {}),
      what: "read the statistics of connection tracking",
    });
    return sumStatistics(answers);
  }

  close(): void {
    this.socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}

function isList<T>(value: T | readonly T[]): value is readonly T[] {
  return Array.isArray(value);
}

/** The request that deletes one connection. Without the tuple it would delete all of them. */
export function deleteRequest({ family, original, zone, id }: ConnectionId): Request {
  return {
    type: CT_DELETE,
    payload: CONNECTION.encode(
      { family: familyNumber(family) },
      { original: tupleAttributes(family, original), zone: zone || undefined, id },
    ),
    format: CONNECTION,
    what: `delete the connection from ${end(original.source, original.sourcePort)} to ` +
      end(original.destination, original.destinationPort),
  };
}

function end(address: string, port: number | undefined): string {
  return port === undefined ? address : `${address} port ${port}`;
}

/** Adds up what each processor counted. */
export function sumStatistics(answers: readonly Message[]): ConntrackStatistics {
  const sum: Record<keyof ConntrackStatistics, number> = {
    found: 0,
    invalid: 0,
    insert: 0,
    insertFailed: 0,
    drop: 0,
    earlyDrop: 0,
    error: 0,
    searchRestart: 0,
    clashResolve: 0,
    chainTooLong: 0,
  };
  for (const { payload } of answers) {
    for (const [name, value] of Object.entries(CPU_STATISTICS.decode(payload).attributes)) {
      sum[name as keyof ConntrackStatistics] += value ?? 0;
    }
  }
  return sum;
}
