/**
 * Pages of wanted connections, from the engine's table or the kernel's.
 *
 * @module
 */

import type { EngineHandle } from "../../engine/handle.ts";
import type { Connection, ConnectionFilter } from "../../netlink/netfilter/conntrack.ts";
import type { ConnectionWish, JoinedConnection } from "./join.ts";
import { PROTOCOL_NUMBERS, type Tracked, trackedByEngine, trackedByKernel } from "./tracked.ts";

/** A page, and where the next one begins; null at the end. */
export interface Page {
  readonly items: readonly JoinedConnection[];
  readonly next: string | null;
}

/** Makes of a connection what is shown; null for one that is not wanted. */
export type Choose = (tracked: Tracked) => JoinedConnection | null;

/** Entries that the engine is asked for at a time. */
const ENGINE_PAGE = 256;
/** Entries that one request looks at, so that it ends soon also when hardly any is wanted. */
const MOST_LOOKED_AT = 1 << 16;

/** The cursors that {@link enginePage} gives: where a page of the engine begins, and how many of it were seen. */
export const ENGINE_CURSOR = /^e(\d{1,9})-(\d{1,3})$/;
/** The cursors that {@link kernelPage} gives: the last connection's id. */
export const KERNEL_CURSOR = /^k(\d{1,10})$/;

/** A page of the engine's connections. It may be short, or empty, and yet not be the last. */
export async function enginePage(
  engine: Pick<EngineHandle, "conntrack">,
  cursor: string | null,
  limit: number,
  choose: Choose,
): Promise<Page> {
  const [, at, seen] = cursor === null ? ["", "0", "0"] : ENGINE_CURSOR.exec(cursor)!;
  const items: JoinedConnection[] = [];
  let from = Number(at);
  let skip = Number(seen);
  for (let looked = 0; looked < MOST_LOOKED_AT; looked += ENGINE_PAGE) {
    const { entries, next } = await engine.conntrack(from, ENGINE_PAGE);
    for (let i = skip; i < entries.length; i++) {
      if (items.length === limit) return { items, next: `e${from}-${i}` };
      const chosen = choose(trackedByEngine(entries[i]));
      if (chosen !== null) items.push(chosen);
    }
    if (next === null) return { items, next: null };
    from = next;
    skip = 0;
  }
  return { items, next: `e${from}-0` };
}

/** What the kernel itself can leave out of what is not wanted. */
export function kernelFilter({ protocol, client, backend }: ConnectionWish): ConnectionFilter {
  return {
    protocol: protocol === undefined ? undefined : PROTOCOL_NUMBERS[protocol],
    original: client === undefined ? undefined : { source: client },
    reply: backend === undefined ? undefined : { source: backend },
  };
}

/** A page of the kernel's connections, in the order of their ids. */
export async function kernelPage(
  connections: (after: number) => AsyncIterable<readonly Connection[]>,
  cursor: string | null,
  limit: number,
  choose: Choose,
): Promise<Page> {
  let last = cursor === null ? -1 : Number(KERNEL_CURSOR.exec(cursor)![1]);
  const items: JoinedConnection[] = [];
  for await (const part of connections(last)) {
    for (const connection of part) {
      if (items.length === limit) return { items, next: `k${last}` };
      last = connection.id;
      const tracked = trackedByKernel(connection);
      const chosen = tracked === null ? null : choose(tracked);
      if (chosen !== null) items.push(chosen);
    }
  }
  return { items, next: null };
}
