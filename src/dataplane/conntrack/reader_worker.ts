/**
 * The thread of {@link "./reader.ts"}: reads the kernel's table once and hands it out in parts.
 *
 * @module
 */

import { NetworkNamespace } from "../../linux/namespace.ts";
import {
  type Connection,
  type ConnectionFilter,
  Conntrack,
} from "../../netlink/netfilter/conntrack.ts";
import { serveCalls } from "../../rpc/worker_rpc.ts";

/** The calls that the worker answers. A type alias, as index signatures don't fit interfaces. */
export type ReaderMethods = {
  /** Reads what matches, in the order of ids from above `after` on, and says how many there are. */
  read(namespaceFd: number, filter: ConnectionFilter, after: number): number;
  /** Some of what was read. */
  part(from: number, count: number): Connection[];
};

let connections: Connection[] = [];

const methods: ReaderMethods = {
  read(namespaceFd, filter, after) {
    NetworkNamespace.fromFd(namespaceFd).enter();
    using conntrack = Conntrack.open();
    connections = conntrack.list(filter).filter(({ id }) => id > after)
      .sort((a, b) => a.id - b.id);
    return connections.length;
  },
  part: (from, count) => connections.slice(from, from + count),
};

serveCalls(self as unknown as Parameters<typeof serveCalls>[0], methods);
