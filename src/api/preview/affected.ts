/**
 * Goes through the connections that there are and collects those that a change would touch.
 *
 * @module
 */

import { MASQUERADE_PORTS, render as renderRouting } from "../../dataplane/userspace/render.ts";
import { FrontendIndex } from "../../plan/frontend_index.ts";
import { joinConnection, type JoinedConnection } from "../conntrack/join.ts";
import { type Tracked, trackedByEngine, trackedByKernel } from "../conntrack/tracked.ts";
import type { PlanViews } from "../plan_views.ts";
import type { ApiState } from "../state.ts";
import { type Affected, type Effect, judge } from "./connections.ts";
import type { Forecast } from "./forecast.ts";

/** What became of looking at all connections. */
export interface AffectedConnections {
  /** The first {@link MOST_LISTED} of them. */
  readonly items: readonly Affected[];
  /** Of all of them. */
  readonly totals: Readonly<Record<Effect, number>>;
  /** Connections that were looked at. */
  readonly looked: number;
  /** Whether that is all of them. */
  readonly complete: boolean;
}

/** Connections that are listed. */
export const MOST_LISTED = 100;
/** Connections that one request looks at. */
const MOST_LOOKED_AT = 1 << 18;
/** Entries that the engine is asked for at a time. */
const ENGINE_PAGE = 256;

/** Rejects when the kernel's connections cannot be read. */
export async function affectedConnections(
  state: ApiState,
  views: PlanViews,
  forecast: Forecast,
): Promise<AffectedConnections> {
  const byEngine = state.node.connections === undefined;
  const future = {
    index: new FrontendIndex(forecast.after),
    byEngine,
    captured: byEngine ? capturedBy(forecast) : () => true,
  };
  const items: Affected[] = [];
  const totals: Record<Effect, number> = { moves: 0, ends: 0, orphaned: 0 };
  let looked = 0;
  if (!takesAway(forecast)) return { items, totals, looked, complete: true };
  for await (const part of byEngine ? engineParts(state) : kernelParts(state)) {
    for (const tracked of part) {
      const joined: JoinedConnection = joinConnection(tracked, views);
      const found = judge(joined, future);
      if (found === null) continue;
      totals[found.effect]++;
      if (items.length < MOST_LISTED) items.push(found);
    }
    looked += part.length;
    if (looked >= MOST_LOOKED_AT) return { items, totals, looked, complete: false };
  }
  return { items, totals, looked, complete: true };
}

/** Whether anything is gone or less than before, which alone can touch connections. */
function takesAway({ change, services }: Forecast): boolean {
  return change.node !== null ||
    services.some(({ frontends, backends }) =>
      frontends.removed.length + backends.removed.length + backends.changed.length > 0
    );
}

/** Whether the node's routing would still lead packets to the engine. */
function capturedBy({ after }: Forecast): (address: string, port: number) => boolean {
  const { routes, captures } = renderRouting(after, MASQUERADE_PORTS);
  const ranges = [...captures.values()];
  return (address, port) =>
    routes.has(address) ||
    ranges.some((one) => one.address === address && one.firstPort <= port && port <= one.lastPort);
}

async function* engineParts({ engine }: ApiState): AsyncGenerator<readonly Tracked[]> {
  for (let from: number | null = 0; from !== null;) {
    const page: Awaited<ReturnType<typeof engine.conntrack>> = await engine
      .conntrack(from, ENGINE_PAGE);
    yield page.entries.map(trackedByEngine);
    from = page.next;
  }
}

async function* kernelParts({ node }: ApiState): AsyncGenerator<readonly Tracked[]> {
  for await (const part of node.connections!({})) {
    yield part.map((connection) => trackedByKernel(connection)).filter((one) => one !== null);
  }
}
