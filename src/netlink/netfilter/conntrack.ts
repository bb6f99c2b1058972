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
import type { NetlinkError, Request } from "../message.ts";
import { NETLINK_NETFILTER, NetlinkSocket } from "../socket.ts";
import {
  type Connection,
  type ConnectionId,
  readConnection,
  tupleAttributes,
} from "./conntrack_connection.ts";
import { type ConnectionFilter, kernelFilters, matches } from "./conntrack_filter.ts";
import { CONNECTION, CT_DELETE, CT_GET, CT_GET_STATS, STATISTICS } from "./conntrack_formats.ts";

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

  close(): void {
    this.socket.close();
  }

  [Symbol.dispose](): void {
    this.close();
  }
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
