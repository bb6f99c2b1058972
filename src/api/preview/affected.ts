/**
 * Goes through the connections that there are and collects those that a change would touch.
 *
 * @module
 */

import { MASQUERADE_PORTS, render as renderRouting } from "../../dataplane/userspace/render.ts";
import { FrontendIndex } from "../../plan/frontend_index.ts";
import type { Plan } from "../../plan/plan.ts";
import { joinConnection, type JoinedConnection } from "../conntrack/join.ts";
import { type Tracked, trackedByEngine, trackedByKernel } from "../conntrack/tracked.ts";
import type { PlanViews } from "../plan_views.ts";
import type { ApiState } from "../state.ts";
import {
  type Affected,
  type ConnectionForecast,
  type Effect,
  type Forwarder,
  judge,
} from "./connections.ts";
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
  const forwarder = byEngine ? "engine" : state.mode === "ipvs" ? "ipvs" : "netfilter";
  const future = {
    before: new FrontendIndex(state.plan()),
    after: new FrontendIndex(forecast.after),
    forwarder,
    captured: capturedBy(forecast, forwarder),
  } as const;
  const items: Affected[] = [];
  const totals: Record<Effect, number> = { moves: 0, ends: 0, orphaned: 0 };
  let looked = 0;
  if (!touchesConnections(forecast, forwarder)) return { items, totals, looked, complete: true };
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

/**
 * Whether anything is gone or otherwise than before, which alone can touch connections; in the
 * kernel new endpoints do, too: UDP flows that went to nobody go to them then.
 */
function touchesConnections({ change, services }: Forecast, forwarder: Forwarder): boolean {
  if (change.node !== null) return true;
  const touched = services.some(({ frontends, backends }) =>
    [frontends.removed, frontends.changed, backends.removed, backends.changed]
      .some((list) => list.length > 0)
  );
  return touched || (forwarder !== "engine" &&
    services.some(({ backends }) => backends.added.some(({ protocol }) => protocol === "UDP")));
}

/** Whether the node would still lead packets to what forwards them. */
function capturedBy({ after }: Forecast, forwarder: Forwarder): ConnectionForecast["captured"] {
  switch (forwarder) {
    case "engine":
      return capturedByDevice(after);
    case "ipvs":
      return capturedByServers(after);
    case "netfilter":
      return () => true;
  }
}

function capturedByDevice(after: Plan): ConnectionForecast["captured"] {
  const { routes, captures } = renderRouting(after, MASQUERADE_PORTS);
  const ranges = [...captures.values()];
  return (address, port) =>
    routes.has(address) ||
    ranges.some((one) => one.address === address && one.firstPort <= port && port <= one.lastPort);
}

/** With its last Service an address goes from the node, and with it all packets to it. */
function capturedByServers({ node, services }: Plan): ConnectionForecast["captured"] {
  const addresses = new Set(node.addresses);
  for (const { ports } of services.values()) {
    for (const { frontends } of ports) {
      for (const { address } of frontends) if (address !== null) addresses.add(address);
    }
  }
  return (address) => addresses.has(address);
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
